"""Native requests refuse what would make them mean something else."""

import msgspec
import pytest

from modelyard.domain.inference import TEMPLATE_VARIABLES, ChatRequest


@pytest.mark.parametrize("name", sorted(TEMPLATE_VARIABLES))
def test_chat_template_kwargs_put_nothing_in_the_place_of_the_conversation(name: str) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "chat_template_kwargs": {name: []}}
    with pytest.raises(msgspec.ValidationError, match=name):
        msgspec.convert(body, ChatRequest)


def test_other_chat_template_kwargs_pass() -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "chat_template_kwargs": {"thinking": False}}
    assert msgspec.convert(body, ChatRequest).chat_template_kwargs == {"thinking": False}
