"""Inference calls are found as Starlette would find them."""

import pytest
from starlette.routing import Match, Route, Router
from starlette.types import Message, Receive, Scope, Send

from modelyard.clock import SystemClock
from modelyard.gateway.service import Gateway
from modelyard.http.hot import hot_routes
from modelyard.http.hot_first import Directory, HotFirst
from modelyard.http.inference.endpoint import Endpoint
from modelyard.settings import GatewaySettings
from modelyard.testing.gateway import FakeKeys, FakeRoutes, FakeWaker, UsageList

FOUND = [
    "/v4/models/m/chat-completions",
    "/v4/models/m/completions",
    "/v4/models/m/embeddings",
    "/v4/models/{}/rerankings",
    "/v4/models/m/deployments/d/execute",
    "/v4/serving/a/x/execute",
    "/v4/serving/a/execute",
    "/v4/serving/s/execute",
    "/v4/chat-completions",
    "/v4/completions",
    "/v4/chunks/rank",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/rerank",
]
OTHERS = [
    "/",
    "",
    "/v4/models",
    "/v4/models/m",
    "/v4/models//chat-completions",
    "/v4/models/m/n/chat-completions",
    "/v4/models/m/chat-completions/",
    "/v4/models/m/deployments",
    "/v4/models/m/deployments/d",
    "/v4/models//deployments//execute",
    "/v4/serving/b/x/execute",
    "/v4/serving/a//execute",
    "/V4/chat-completions",
    "/v1/models",
    "/v1/models/a/b",
    "/v1/nothing/here",
    "v4/chat-completions",
    "/healthz",
]


@pytest.fixture
async def routes() -> list[Route]:
    gateway = Gateway(FakeRoutes(), UsageList(), FakeWaker(), SystemClock(), GatewaySettings())
    return hot_routes(gateway, FakeKeys(), GatewaySettings())


def starlettes(routes: list[Route], path: str) -> tuple[object, dict[str, str]] | None:
    scope = {"type": "http", "method": "POST", "path": path, "root_path": ""}
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            return (route.app, child["path_params"]) if isinstance(route.app, Endpoint) else None
    return None


@pytest.mark.parametrize("path", FOUND)
async def test_the_same_endpoint_with_the_same_parameters(routes: list[Route], path: str) -> None:
    found = Directory(routes).find(path)
    assert found is not None
    assert found == starlettes(routes, path)


@pytest.mark.parametrize("path", OTHERS)
async def test_what_is_nowhere_else_is_not_here_either(routes: list[Route], path: str) -> None:
    assert Directory(routes).find(path) is starlettes(routes, path) is None


async def test_long_paths_are_found_and_not_remembered(routes: list[Route]) -> None:
    directory = Directory(routes)
    for name in ("m", "m" * 300):
        for _ in range(2):
            found = directory.find(f"/v4/models/{name}/completions")
            assert found is not None
            assert found[1] == {"id": name}
    assert directory._remembered.cache_info()[:2] == (1, 1)


async def test_every_call_that_only_posts_is_found(routes: list[Route]) -> None:
    posts = [route for route in routes if isinstance(route.app, Endpoint)]
    assert {id(starlettes(routes, path)[0]) for path in FOUND} == {id(route.app) for route in posts}  # type: ignore[index]
    assert all(route.methods == {"POST"} for route in posts)


@pytest.mark.parametrize(("method", "path"), [("GET", FOUND[0]), ("POST", "/v1/models"), ("DELETE", "/v4/completions")])
async def test_a_wrong_method_is_told_with_the_right_ones(routes: list[Route], method: str, path: str) -> None:
    status, headers = await answered(routes, method, path)
    assert status == 405
    assert {b"allow", b"x-request-id", b"x-content-type-options"} <= headers.keys()


@pytest.mark.parametrize("path", [FOUND[0], FOUND[-1], "/v1/models", "/v1/nothing/here"])
@pytest.mark.parametrize("given", [b"my-own-id", b"not\x7fprintable", None])
async def test_every_answer_tells_its_id_once(routes: list[Route], path: str, given: bytes | None) -> None:
    method = "GET" if path == "/v1/models" else "POST"
    status, headers = await answered(routes, method, path, given)
    assert status == 401
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert (headers[b"x-request-id"] == given) is (given == b"my-own-id")


async def answered(
    routes: list[Route], method: str, path: str, request_id: bytes | None = None
) -> tuple[int, dict[bytes, bytes]]:
    """What a call without a key is answered with; no header may come twice."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    given = [] if request_id is None else [(b"x-request-id", request_id)]
    scope: Scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": given}
    await HotFirst(routes, Router())(scope, receive, send)
    headers = dict(sent[0]["headers"])
    assert len(headers) == len(sent[0]["headers"])
    return sent[0]["status"], headers


async def test_what_is_behind_a_prefix_takes_the_long_way(routes: list[Route]) -> None:
    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])

    seen: list[str] = []
    scope: Scope = {"type": "http", "method": "POST", "path": FOUND[0], "root_path": "/p", "headers": []}
    await HotFirst([], rest)(scope, None, None)  # type: ignore[arg-type]
    assert seen == [FOUND[0]]
