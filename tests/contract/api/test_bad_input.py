"""Bodies that nobody should send: each a clear answer that names the field, never a 500, nothing half-made."""

import json
from typing import Any

import httpx
import pytest
from api_server import KEY, Running

JSON = {"content-type": "application/json"}


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text[:500]
    body: dict[str, Any] = answer.json()
    assert set(body) == {"detail", "code", "request_id"}
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def test_what_is_no_json(http: httpx.Client) -> None:
    for text in (b"{", b"", b"\xff\xfe\xfd", b"NaN", b'{"name": Infinity}', b"[1,]", b'{"a": 01}', b"9" * 5000):
        answer = http.post("/v4/models", content=text, headers=JSON)
        assert answer.status_code in (400, 422), text
        body = refused(answer, answer.status_code)
        assert body["code"] == ("malformed_request" if answer.status_code == 400 else "invalid_request")
    assert http.post("/v4/models", content=b"{", headers=JSON).status_code == 400


def test_what_is_json_but_no_object(http: httpx.Client) -> None:
    for value in ([], "text", 7, None, True):
        body = refused(http.post("/v4/models", json=value), 422)
        assert body["detail"][0]["loc"] == ["body"]


def test_another_content_type(http: httpx.Client) -> None:
    body = refused(http.post("/v4/models", content=b"name=x", headers={"content-type": "text/plain"}), 400)
    assert "application/json" in body["detail"]
    assert refused(http.post("/v4/models", content=b"{}", headers={"content-type": ""}), 400)


def test_a_body_without_end(http: httpx.Client) -> None:
    body = refused(http.post("/v4/models", content=b" " * (5 * 1024 * 1024), headers=JSON), 413)
    assert body["code"] == "too_large"


def test_a_body_whose_length_nobody_told(http: httpx.Client) -> None:
    def pieces() -> Any:
        for _ in range(100):
            yield b" " * 65_536

    refused(http.post("/v4/models", content=pieces(), headers=JSON), 413)


def test_a_hundred_megabytes(http: httpx.Client) -> None:
    refused(http.post("/v4/models", content=b"x" * 100_000_000, headers=JSON), 413)


@pytest.mark.parametrize("depth", [100, 10_000, 100_000])
def test_deep_nesting(http: httpx.Client, depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        text = '{"deployment_metadata": ' + opening * depth + "1" + closing * depth + "}"
        body = refused(http.post("/v4/models/x/deployments", content=text, headers=JSON), 422)
        assert "levels deep" in body["detail"][0]["msg"]
        assert body["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    ("text", "loc"),
    [
        (r'{"name": "a\u0000b"}', ["body", "name"]),
        (r'{"name": "\ud800"}', ["body", "name"]),
        (
            r'{"base_model_metadata": {"model_developer": "x\udfffy"}}',
            ["body", "base_model_metadata", "model_developer"],
        ),
        (r'{"model_creation_parameters": {"a\u0000b": 1}}', ["body", "model_creation_parameters", r"a\x00b"]),
        (r'{"model_creation_parameters": {"\udc00": 1}}', ["body", "model_creation_parameters", r"\udc00"]),
        (r'{"model_creation_parameters": {"a": 1e999}}', ["body", "model_creation_parameters", "a"]),
        (r'{"model_creation_parameters": {"a": 99999999999999999999}}', ["body", "model_creation_parameters", "a"]),
        (r'{"x": ["ok", "\u0000"]}', ["body", "x", 1]),
    ],
)
def test_what_no_store_can_hold(http: httpx.Client, text: str, loc: list[Any]) -> None:
    body = refused(http.post("/v4/models", content=text, headers=JSON), 422)
    assert body["detail"][0]["loc"] == loc


def test_raw_surrogates_in_utf8(http: httpx.Client) -> None:
    answer = http.post("/v4/models", content=b'{"name": "\xed\xa0\x80"}', headers=JSON)
    assert refused(answer, 422)["detail"][0]["loc"] == ["body", "name"]


def test_whole_pairs_are_text_like_any_other(
    http: httpx.Client, template: dict[str, Any], name: str, account: str
) -> None:
    body = {"account_id": account, "name": f"{name} 🦙 日本語"}
    body |= {"model_type": "EMBEDDING", "model_template_id": template["id"]}
    made = http.post("/v4/models", content=json.dumps(body), headers=JSON)
    assert made.status_code == 200
    assert made.json()["name"] == body["name"]


@pytest.mark.parametrize("path", ["/v4/models/a%00b", "/v4/model-templates/%00", "/users/x%00", "/v4/x%00"])
def test_nul_in_a_path(http: httpx.Client, path: str) -> None:
    assert refused(http.get(path), 422)["detail"][0]["loc"] == ["path"]


def test_odd_ids_are_unknown_ids(http: httpx.Client) -> None:
    for id_ in ("%ED%A0%80", "..%2F..", "x" * 5000, "'; drop table models; --", "🦙", "%25", "null"):
        for path in ("/v4/models/", "/v4/model-templates/", "/v4/model-deployments/", "/users/"):
            assert http.get(f"{path}{id_}").status_code == 404, (path, id_)
        assert http.delete(f"/v4/api-keys/{id_}").status_code == 404


def test_a_query_without_end(http: httpx.Client) -> None:
    answer = http.get("/v4/models?account_id=" + "x" * 40_000)
    assert answer.status_code == 422


def test_an_endless_idempotency_key(http: httpx.Client) -> None:
    answer = http.post("/v4/models", json={}, headers={"idempotency-key": "x" * 300})
    locs = [each["loc"] for each in refused(answer, 422)["detail"]]
    assert ["header", "idempotency-key"] in locs or ["body", "name"] in locs


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    assert refused(http.get("/v4/nothing"), 404)["code"] == "not_found"
    assert refused(http.get("/v4/models/"), 404)["code"] == "not_found"
    answer = http.put("/v4/models")
    assert refused(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, POST"
    answer = http.post("/v4/models/x")
    assert refused(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET, PATCH"


def test_bodies_nobody_asked_for_do_no_harm(http: httpx.Client) -> None:
    assert http.request("GET", "/v4/models", json={"surprise": 1}).status_code == 200


def test_keys_are_asked_for_before_anything_else(server: Running) -> None:
    for method, path in (("GET", "/v4/models"), ("POST", "/v4/models"), ("GET", "/v4/nothing"), ("PUT", "/user-info")):
        answer = httpx.request(method, server.url + path, content=b"{")
        assert refused(answer, 401)["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "wrong"},
        {"x-api-key": "my_00000000_" + "x" * 43},
        {"x-api-key": "k" * 10_000},
        {"authorization": "Bearer wrong"},
        {"x-api-key": "wr\xf6ng".encode("latin-1")},
    ],
)
def test_refused_keys_look_alike(server: Running, headers: dict[str, Any]) -> None:
    body = refused(httpx.get(server.url + "/v4/models", headers=headers), 401)
    assert body["detail"] == "This API key is not valid. Check it, or ask an administrator for another."


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": ""}, {"authorization": "Basic abc"}, {"authorization": "Bearer"}]
)
def test_no_key_at_all(server: Running, headers: dict[str, str]) -> None:
    assert "x-api-key" in refused(httpx.get(server.url + "/v4/models", headers=headers), 401)["detail"]


def test_bearer_works_too(server: Running) -> None:
    assert httpx.get(server.url + "/user-info", headers={"authorization": f"Bearer {KEY}"}).status_code == 200


def test_a_request_id_comes_back(http: httpx.Client) -> None:
    assert http.get("/user-info", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert http.get("/user-info", headers={"x-request-id": "no good"}).headers["x-request-id"] != "no good"
    assert http.get("/healthz").headers["x-request-id"]
