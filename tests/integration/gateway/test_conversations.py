"""Conversations too long for their model, and templates that calls bring along, with workers that can count."""

from typing import Any

import pytest
from gateway_house import CHAT_ANSWER, Asked, House, StartWorker, Worker, answer_chat

from modelyard.domain.usage import Outcome

TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"  # noqa: E501


def rendered(messages: list[dict[str, str]]) -> str:
    return "".join(f"<{message['role']}> {message['content']} " for message in messages)


async def llama_cpp(asked: Asked) -> None:
    """llama.cpp's server, whose tokens are words."""
    if asked.path == "/props":
        await asked.answer({"chat_template": "…", "bos_token": "<s>", "eos_token": "</s>"})
    elif asked.path == "/apply-template":
        await asked.answer({"prompt": rendered(asked.json["messages"])})
    elif asked.path == "/tokenize":
        text = asked.json["content"]
        assert asked.json["add_special"] is True
        await asked.answer({"tokens": [1, *range(len(text.split()))]})
    elif asked.path == "/v1/completions":
        assert asked.json["stream"], "llama.cpp notices that a client left only while it streams"
        await asked.stream(
            b'data: {"choices":[{"index":0,"text":"done","finish_reason":null}]}\n\n'
            b'data: {"choices":[{"index":0,"text":"","finish_reason":"stop"}],'
            b'"usage":{"prompt_tokens":4,"completion_tokens":1}}\n\n'
            b"data: [DONE]\n\n"
        )
    else:
        assert asked.json["stream"]
        await answer_chat(asked)


async def vllm(asked: Asked) -> None:
    """vLLM, whose tokens are words."""
    if asked.path == "/tokenize":
        await asked.answer(
            {"count": 1 + len(rendered(asked.json["messages"]).split()), "max_model_len": 100, "tokens": []}
        )
    elif asked.path == "/props":
        await asked.answer({"detail": "Not Found"}, 404)
    else:
        await answer_chat(asked)


def history(turns: int) -> list[dict[str, str]]:
    return [
        {"role": role, "content": f"{role} {number} says some words"}
        for number in range(turns)
        for role in ("user", "assistant")
    ]


def sent_messages(worker: Worker) -> list[Any]:
    asked = worker.asked[-1]
    assert asked.path == "/v1/chat/completions"
    messages: list[Any] = asked.json["messages"]
    return messages


@pytest.mark.parametrize("behave", [llama_cpp, vllm])
async def test_the_oldest_turns_are_dropped_until_it_fits(house: House, start_worker: StartWorker, behave: Any) -> None:
    worker = await start_worker(behave, counts=True)
    house.show(worker, context_window=60)
    system = {"role": "system", "content": "be brief"}
    response = await house.chat(chat_history=[system, *history(10)], max_tokens=5)
    assert response.status_code == 200, response.text
    # A token for the beginning, 3 for the system message, 2 for the prompt, 12 for each turn: 55 hold four turns less.
    assert sent_messages(worker) == [system, *history(10)[12:], {"role": "user", "content": "Hi"}]
    assert response.headers["x-history-messages-dropped"] == "12"
    assert (await house.record()).outcome is Outcome.OK


async def test_a_stream_tells_the_counts_before_it_begins(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(llama_cpp, counts=True), context_window=60)
    response = await house.chat(chat_history=history(10), stream=True)
    assert response.headers["x-history-messages-dropped"] == "12"
    assert response.headers["x-prompt-tokens"] == str(1 + 2 + 4 * 12)


async def test_what_fits_is_sent_whole_and_uncounted(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker(vllm, counts=True)
    house.show(worker, context_window=10_000)
    response = await house.chat(chat_history=history(3))
    assert len(sent_messages(worker)) == 7
    assert [asked.path for asked in worker.asked if asked.path == "/tokenize"] == ["/tokenize"], (
        "asked once, to know it"
    )
    assert response.headers["x-history-messages-dropped"] == "0"


async def test_near_the_window_counting_decides(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker(vllm, counts=True)
    house.show(worker, context_window=1 + 2 + 12 * 10 + 1)
    response = await house.chat(chat_history=history(10))
    assert response.headers["x-history-messages-dropped"] == "0"
    assert len(sent_messages(worker)) == 21


async def test_what_cannot_fit_is_422_with_the_counts(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(llama_cpp, counts=True), context_window=20)
    response = await house.chat(prompt="word " * 50, chat_history=history(2), max_tokens=3)
    body = response.json()
    assert (response.status_code, body["code"]) == (422, "context_length_exceeded")
    assert "has 52 tokens" in body["detail"][0]["msg"]
    assert "holds 20" in body["detail"][0]["msg"]


async def test_a_worker_that_cannot_count_gets_an_estimate(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker(answer_chat)
    house.show(worker, context_window=120)
    response = await house.chat(chat_history=history(10))
    assert response.status_code == 200
    assert 0 < int(response.headers["x-history-messages-dropped"]) < 20
    assert len(sent_messages(worker)) < 21


async def test_a_wrong_estimate_is_made_good_when_the_worker_says_so(house: House, start_worker: StartWorker) -> None:
    """Counting by the worker finds more tokens than any estimate: the call is trimmed and sent again."""

    async def behave(asked: Asked) -> None:
        if asked.path == "/tokenize":
            await asked.answer({"count": 100 * len(asked.json["messages"])})
        elif asked.path == "/v1/chat/completions" and len(asked.json["messages"]) > 3:
            await asked.answer({"error": {"message": "This model's maximum context length is 301 tokens."}}, 400)
        elif asked.path == "/v1/chat/completions":
            await asked.answer(CHAT_ANSWER)
        else:
            await asked.answer({}, 404)

    worker = await start_worker(behave, counts=True)
    house.show(worker, context_window=450)
    response = await house.chat(chat_history=history(4))
    assert response.status_code == 200
    assert response.headers["x-history-messages-dropped"] == "6"
    assert len(sent_messages(worker)) == 3
    house.show(worker, context_window=2000)
    response = await house.chat(chat_history=history(4))
    assert response.status_code == 422, "by the window that is known everything fits, so the worker's word stands"
    assert response.json()["code"] == "context_length_exceeded"


async def test_a_calls_own_template_is_rendered_for_llama_cpp(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker(llama_cpp, counts=True)
    house.show(worker)
    for stream in (False, True):
        response = await house.chat(chat_template=TEMPLATE, stream=stream)
        assert response.status_code == 200
        assert "done" in response.text
        asked = worker.asked[-1]
        # The tokenizer adds the beginning itself, so it is not there twice.
        assert (asked.path, asked.json["prompt"]) == ("/v1/completions", "[user]Hi[assistant]")


async def test_template_settings_reach_a_calls_own_template(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker(llama_cpp, counts=True)
    house.show(worker)
    await house.chat(chat_template="{{ greeting }} {{ messages[0].content }}", chat_template_kwargs={"greeting": "Hey"})
    assert worker.asked[-1].json["prompt"] == "Hey Hi"


async def test_vllm_renders_templates_itself(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker(vllm, counts=True)
    house.show(worker)
    assert (await house.chat(chat_template=TEMPLATE, chat_template_kwargs={"a": 1})).status_code == 200
    assert worker.asked[-1].json["chat_template"] == TEMPLATE
    assert worker.asked[-1].json["chat_template_kwargs"] == {"a": 1}


async def test_a_template_nobody_can_apply_is_refused_with_the_remedy(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(answer_chat))
    response = await house.chat(chat_template=TEMPLATE)
    assert response.status_code == 422
    assert "when creating the model" in response.json()["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for", "unexpected"),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ 'x' * 10000000000 }}", "memory"),
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "longer than"),
    ],
)
async def test_a_strangers_template_harms_nobody(
    house: House, start_worker: StartWorker, template: str, why: str
) -> None:
    house.show(await start_worker(llama_cpp, counts=True))
    response = await house.chat(chat_template=template)
    body = response.json()
    assert (response.status_code, body["code"]) == (422, "invalid_chat_template")
    assert why in body["detail"][0]["msg"]
    assert (await house.chat(chat_template=TEMPLATE)).status_code == 200
