"""What whoever runs the server asks it."""

import dataclasses
from pathlib import Path

import httpx
from api_server import KEY, Running, serving

from modelyard.http.app import create_app
from modelyard.http.parts import Parts


def test_alive_and_ready(server: Running) -> None:
    assert httpx.get(server.url + "/healthz").json() == {"status": "ok"}
    assert httpx.get(server.url + "/readyz").json() == {"status": "ready", "reasons": []}


def test_not_ready_says_why(server: Running) -> None:
    async def no() -> str | None:
        return "the reconciler has not started"

    async def fine() -> str | None:
        return None

    answer = server.run(get(dataclasses.replace(server.parts, checks=(fine, no)), "/readyz"))
    assert answer.status_code == 503
    assert "the reconciler has not started" in answer.json()["reasons"]
    assert answer.headers["retry-after"]


async def get(parts: Parts, path: str) -> httpx.Response:
    """What another app made of ``parts`` answers; run it where the server runs, whose store it shares."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(parts)), base_url="http://x") as client:
        return await client.get(path, headers={"x-api-key": KEY})


def test_metrics(server: Running) -> None:
    answer = httpx.get(server.url + "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "process_cpu_seconds_total" in answer.text


def test_the_document_knows_every_call(server: Running) -> None:
    document = httpx.get(server.url + "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"get", "post"} <= set(document["paths"]["/v4/model-templates"])
    assert {"get", "patch", "delete"} <= set(document["paths"]["/v4/models/{model_id}/deployments/{deployment_id}"])
    for path in ("/user-info", "/v4/user-info", "/users/{user_id}", "/accounts", "/v4/api-keys", "/healthz", "/readyz"):
        assert path in document["paths"]
    assert "/openapi.json" in httpx.get(server.url + "/docs").text
    refused = document["paths"]["/v4/models"]["post"]["responses"]["422"]["content"]["application/json"]["schema"]
    assert refused == {"$ref": "#/components/schemas/Problem"}


def test_hot_routes_are_part_of_the_document(server: Running) -> None:
    hot = {"paths": {"/v4/models/{id}/embeddings": {"post": {}}}, "components": {"schemas": {"Hot": {}}}}
    parts = dataclasses.replace(server.parts, hot_openapi=hot)
    document = server.run(get(parts, "/openapi.json")).json()
    assert "/v4/models/{id}/embeddings" in document["paths"]
    assert {"Hot", "Problem"} <= set(document["components"]["schemas"])


def test_a_second_start_finds_everything(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        key = (tmp_path / "admin.key").read_text().strip()
        me = httpx.get(first.url + "/user-info", headers={"x-api-key": key}).json()
    with serving(tmp_path) as second:
        assert httpx.get(second.url + "/user-info", headers={"x-api-key": key}).json() == me


def test_what_is_unexpected_tells_nothing(server: Running) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("the secret is a walrus")

    answer = server.run(get(dataclasses.replace(server.parts, store=Broken()), "/v4/models"))  # type: ignore[arg-type]
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "walrus" not in answer.text
