"""What OpenAI's API knows and no model here can honour: refused by name, with the remedy."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from msgspec import Struct

from modelyard.errors import InvalidRequest

_NOT_MEANT: Mapping[str, tuple[Sequence[Any], str]] = {
    "logit_bias": (({},), "cannot be honoured: token ids differ from model to model; leave it out"),
    "functions": (([],), "is OpenAI's old way; use tools"),
    "function_call": (("none", "auto"), "is OpenAI's old way; use tool_choice"),
    "audio": ((), "cannot be honoured: answers are text"),
    "modalities": ((["text"],), "may only be ['text']"),
    "prediction": ((), "cannot be honoured; leave it out"),
    "verbosity": (("medium",), "cannot be honoured; say in a message how long an answer is wanted"),
    "web_search_options": ((), "cannot be honoured: models here search nothing; offer a tool for it"),
    "best_of": ((1,), "cannot be honoured; ask for n choices and take one"),
    "echo": ((False,), "cannot be honoured; put the prompt before the answer yourself"),
    "suffix": (("",), "cannot be honoured: models here only go on from a prompt"),
    "max_chunks_per_doc": ((), "cannot be honoured; cut the documents yourself"),
    "max_tokens_per_doc": ((), "cannot be honoured; cut the documents yourself"),
    "rank_fields": ((["text"],), "cannot be honoured; send documents as texts"),
    "truncation": ((True,), "cannot be turned off: models read as much of a document as they can"),
}
"""By field: values that ask for nothing special, and what is said of all others."""


REFUSED = frozenset(_NOT_MEANT)
"""Fields that are refused unless a model has a meaning for them."""


def refuse(body: Struct, honoured: Collection[str] = ()) -> None:
    """Raise `InvalidRequest` (code unsupported_parameter) naming the first field that cannot be honoured; those in
    ``honoured`` can."""
    for name in _refused_in(type(body)):
        value = getattr(body, name)
        if value is not None and name not in honoured and value not in _NOT_MEANT[name][0]:
            raise unsupported(name, _NOT_MEANT[name][1])


@cache
def _refused_in(kind: type[Struct]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name in _NOT_MEANT)


def unsupported(name: str, why: str, *place: str | int) -> InvalidRequest:
    return InvalidRequest.at("body", name, *place, msg=why, type="unsupported", code="unsupported_parameter")
