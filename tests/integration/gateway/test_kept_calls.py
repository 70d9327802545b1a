"""Both sides of a call are captured as they went by, where its account wants that; and can be asked again."""

import json
from dataclasses import replace

import msgspec
import pytest
from gateway_house import House, StartWorker, Worker, until
from starlette.requests import Request

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.call_logs import CallLogSettings, Captured, Keeps, KeptBody, KeptCall, LoggedCall
from modelyard.domain.deployments import Deployment
from modelyard.domain.rights import Role
from modelyard.domain.usage import Outcome
from modelyard.errors import Conflict
from modelyard.http.api.replaying import replayed
from modelyard.http.hot import hot_routes
from modelyard.settings import GatewaySettings
from modelyard.testing.deployments import deployment
from modelyard.testing.gateway import ACCOUNT, KEY, make_caller, make_route
from modelyard.testing.usage import make_usage

CHAT = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}


class Kept:
    """A `KeepsCalls` that keeps what it is given."""

    def __init__(self, *accounts: str) -> None:
        self.accounts = accounts
        self.calls: list[Captured] = []

    def wanted(self, account_id: str) -> CallLogSettings | None:
        return CallLogSettings(account_id, Keeps.ALL) if account_id in self.accounts else None

    def keep(self, captured: Captured) -> None:
        self.calls.append(captured)


@pytest.fixture
def kept(house: House) -> Kept:
    keeper = Kept(ACCOUNT)
    house.gateway._bodies = keeper
    return keeper


async def test_whole_answers_on_every_surface(house: House, start_worker: StartWorker, kept: Kept) -> None:
    house.show(await start_worker())
    answers = [
        await house.chat(),
        await house.client.post("/v1/chat/completions", json=CHAT),
        await house.client.post("/v4/chat-completions", json=CHAT),
    ]
    assert [answer.status_code for answer in answers] == [200] * 3
    await until(lambda: len(kept.calls) == 3)
    for answer, call in zip(answers, kept.calls, strict=True):
        assert b"".join(call.answer) == answer.content
        assert call.request == answer.request.content
        assert call.path == answer.request.url.path
        assert call.record in house.usage.records


async def test_streams_errors_and_what_is_far_too_long(house: House, start_worker: StartWorker, kept: Kept) -> None:
    house.show(await start_worker())
    answer = await house.chat(stream=True)
    assert answer.content.count(b"data:") > 2
    bad = await house.chat(temperature=7)
    assert bad.status_code == 422
    await until(lambda: len(kept.calls) == 2)
    assert b"".join(kept.calls[0].answer) == answer.content
    assert b"".join(kept.calls[1].answer) == bad.content
    assert kept.calls[1].record.outcome is Outcome.ERROR
    kept.wanted = lambda account_id: CallLogSettings(account_id, Keeps.ALL, max_body_bytes=1)  # type: ignore[method-assign]
    await house.chat(stream=True)
    await until(lambda: len(kept.calls) == 3)
    assert kept.calls[2].cut
    assert len(b"".join(kept.calls[2].answer)) == 16


async def test_nothing_of_other_accounts(house: House, start_worker: StartWorker) -> None:
    keeper = Kept("another")
    house.gateway._bodies = keeper
    house.show(await start_worker())
    assert (await house.chat()).status_code == 200
    await house.record()
    assert not keeper.calls


def asker(*headers: tuple[bytes, bytes]) -> Request:
    scope = {
        "type": "http",
        "asgi": {},
        "http_version": "1.1",
        "scheme": "http",
        "client": None,
        "server": None,
        "headers": [(b"x-api-key", KEY.encode()), (b"cookie", b"no"), *headers],
    }
    return Request(scope)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v4/models/chat/chat-completions", {"prompt": "Hi", "chat_history": [], "stream": True}),
        ("/v4/models/m/deployments/d/execute", {"messages": CHAT["messages"]}),
        ("/v4/serving/a/alias/execute", {"messages": CHAT["messages"]}),
        ("/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}),
        ("/v4/chat-completions", CHAT),
    ],
)
async def test_asked_again(house: House, start_worker: StartWorker, path: str, body: dict[str, object]) -> None:
    worker: Worker = await start_worker()
    route = house.show(worker, deployment_name="another", deployment_id="5" * 36)
    routes = hot_routes(house.gateway, house.keys, GatewaySettings())
    answer = await replayed(routes, asker(), logged(path, json.dumps(body)), aim(route))
    assert answer.status == 200, answer.answer
    assert "Hello" in answer.answer
    assert (await house.record()).request_id == answer.request_id
    assert not worker.asked[-1].json.get("stream")


@pytest.mark.parametrize(
    ("selected", "built_in", "payer"),
    [(None, True, "second"), ("first", True, "first"), (None, False, ACCOUNT)],
)
async def test_who_is_in_several_accounts_asks_again_for_the_one_that_asked(
    house: House, start_worker: StartWorker, selected: str | None, built_in: bool, payer: str
) -> None:
    house.keys.callers[KEY] = make_caller(dict.fromkeys(("first", "second", ACCOUNT), Role.MEMBER))
    account = PLATFORM_ACCOUNT_ID if built_in else ACCOUNT
    route = house.show(await start_worker(), deployment_id="5" * 36, account_id=account)
    again = logged("/v4/chat-completions", json.dumps(CHAT))
    again = replace(again, record=msgspec.structs.replace(again.record, account_id="second"))
    request = asker(*([(b"x-selected-account-id", selected.encode())] if selected else []))
    aimed = replace(aim(route), account_id=account)
    answer = await replayed(hot_routes(house.gateway, house.keys, GatewaySettings()), request, again, aimed)
    assert answer.status == 200, answer.answer
    assert (await house.record()).account_id == payer


@pytest.mark.parametrize(("path", "text"), [("/v1/x", "no json"), ("/v1/x", "[1]"), ("/v4/chunks/rank", "{}")])
async def test_what_is_no_request_is_not_asked_again(path: str, text: str) -> None:
    with pytest.raises(Conflict) as caught:
        await replayed([], asker(), logged(path, text), aim(make_route()))
    assert caught.value.code == "call_not_replayable"


def aim(route: object) -> Deployment:
    return replace(deployment(), id=route.deployment_id, model_id=route.model_id)  # type: ignore[attr-defined]


def logged(path: str, text: str) -> LoggedCall:
    record = make_usage()
    return LoggedCall(record, KeptCall(record.id, record.started_at, ACCOUNT, path, KeptBody(text), KeptBody("")))
