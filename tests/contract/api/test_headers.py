"""What every answer tells browsers and proxies."""

import dataclasses

import httpx
import pytest
from api_server import Running

from modelyard.http.app import create_app


@pytest.mark.parametrize("path", ["/v4/models", "/healthz", "/docs", "/nowhere", "/v4/models/none"])
def test_nobody_guesses_what_an_answer_is(http: httpx.Client, path: str) -> None:
    assert http.get(path).headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/v4/models", "/user-info", "/v4/models/none"])
def test_nobody_on_the_way_keeps_what_the_control_api_says(http: httpx.Client, path: str) -> None:
    assert http.get(path).headers.get_list("cache-control") == ["no-store"]
    assert http.get(path, headers={"x-api-key": "wrong"}).headers.get_list("cache-control") == ["no-store"]


def test_no_page_of_another_origin_may_read_anything(http: httpx.Client) -> None:
    asked = {"origin": "https://elsewhere.example", "access-control-request-method": "GET"}
    for answer in (http.get("/v4/models", headers=asked), http.options("/v4/models", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_pages_of_origins_that_the_settings_name_may_read_answers(server: Running) -> None:
    security = server.parts.settings.security.model_copy(update={"cors_origins": ("https://app.example",)})
    settings = server.parts.settings.model_copy(update={"security": security})
    app = create_app(dataclasses.replace(server.parts, settings=settings))

    async def allowed(origin: str) -> str | None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            headers = {"origin": origin, "access-control-request-method": "POST"}
            asked = await client.options("/v4/models", headers=headers)
            answer = await client.get("/healthz", headers={"origin": origin})
        name = "access-control-allow-origin"
        assert asked.headers.get(name) == answer.headers.get(name)
        return answer.headers.get(name)

    assert server.run(allowed("https://app.example")) == "https://app.example"
    assert server.run(allowed("https://elsewhere.example")) is None


def test_the_documentation_page_runs_its_own_scripts_only(http: httpx.Client) -> None:
    policy = http.get("/docs").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
