"""Limits on a real server of several gateways: who is over is told so, and nobody else notices."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from server_process import Server, Start
from test_server_life import chat, client, deployed, eventually

pytestmark = pytest.mark.timeout(480)


@pytest.fixture
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start_server(tmp_path_factory.mktemp("limits") / "data", MODELYARD_GATEWAYS="2")


@pytest.fixture
def deployment(server: Server) -> str:
    with client(server) as api:
        return deployed(api)


class Limited:
    """A key of its own, with a limit of its own."""

    def __init__(self, server: Server, name: str, **bounds: Any) -> None:
        self.server = server
        with client(server) as api:
            account = api.get("/user-info").json()["access_profiles"][0]["account"]["id"]
            made = api.post("/v4/api-keys", json={"account_id": account, "name": name, "role": "member"}).json()
            body = {"account_id": account, "name": name, "subject": "key", "subject_id": made["id"], **bounds}
            api.post("/v4/limits", json=body).raise_for_status()
        self.key = made["key"]

    def call(self, deployment: str, **more: Any) -> httpx.Response:
        body = {"prompt": "hello there", "max_tokens": 5, **more}
        with httpx.Client(base_url=self.server.url, headers={"x-api-key": self.key}, timeout=60) as api:
            return api.post(f"/v4/models/{deployment}/chat-completions", json=body)

    def call_v1(self, deployment: str, max_tokens: int) -> httpx.Response:
        body = {"model": deployment, "messages": [{"role": "user", "content": "hello"}], "max_tokens": max_tokens}
        with httpx.Client(base_url=self.server.url, headers={"x-api-key": self.key}, timeout=60) as api:
            return api.post("/v1/chat/completions", json=body)


def in_force(limited: Limited, deployment: str, sign: Callable[[httpx.Response], bool], **more: Any) -> bool:
    """Whether every gateway knows the limit: each call has a connection of its own, and so any of them takes it."""
    return eventually(lambda: all(sign(limited.call(deployment, **more)) for _ in range(16)))


def is_limited(answer: httpx.Response) -> bool:
    return answer.status_code == 429 or "x-ratelimit-remaining-concurrent" in answer.headers


def test_who_is_over_is_told_so_and_what_is_used_is_given_back(server: Server, deployment: str) -> None:
    few = Limited(server, "few tokens", tokens_per_minute=50)
    assert in_force(few, deployment, is_limited, max_tokens=1000)
    refused = few.call(deployment, max_tokens=1000)
    assert refused.json()["code"] == "limit_exceeded"
    assert "'few tokens'" in refused.json()["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    for answer in (refused, few.call(deployment, max_tokens=1000, stream=True), few.call_v1(deployment, 1000)):
        assert (answer.status_code, answer.headers["x-ratelimit-limit-tokens"]) == (429, "50")
        assert {"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"} <= answer.headers.keys()
    with client(server) as api:
        assert chat(api, deployment).status_code == 200  # nobody else notices

    one = Limited(server, "one at a time", tokens_per_minute=100_000, concurrent_calls=1)
    assert in_force(one, deployment, is_limited)
    left = []

    def answered() -> bool:
        answer = one.call(deployment)
        if answer.status_code == 429:  # the one before is given back a moment after its end
            return False
        left.append(answer.headers)
        return len(left) == 3

    assert eventually(answered)
    assert all(each["x-ratelimit-limit-tokens"] == "100000" for each in left)
    assert all(each["x-ratelimit-remaining-concurrent"] == "0" for each in left)


def test_of_200_callers_none_is_let_through_too_many_and_those_that_queue_are_all_answered(
    server: Server, deployment: str
) -> None:
    nothing = Limited(server, "nothing", calls_per_minute=0)
    assert in_force(nothing, deployment, is_limited)
    with ThreadPoolExecutor(50) as pool:
        seen = Counter(answer.status_code for answer in pool.map(lambda _: nothing.call(deployment), range(200)))
    assert seen == {429: 200}

    two = Limited(server, "two at a time", concurrent_calls=2, on_exceeded="queue")
    assert in_force(two, deployment, is_limited)
    with ThreadPoolExecutor(12) as pool:
        seen = Counter(answer.status_code for answer in pool.map(lambda _: two.call(deployment), range(24)))
    assert seen == {200: 24}
