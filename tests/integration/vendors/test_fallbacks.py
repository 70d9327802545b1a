"""From hosted models to vendors and back: each answers where the other cannot."""

import asyncio
from collections.abc import Callable
from typing import Any

from fake_vendor import FakeVendor
from vendor_house import House, Start

from modelyard.settings import AutoscaleSettings


async def hosted(house: House, name: str, fallbacks: list[str], **parameters: Any) -> Any:
    """A hosted model of the fake engine, whose worker may take its time; gives the deployment."""
    template = {
        "name": name,
        "endpoint_type": "SYNC",
        "model_type": "CHAT_COMPLETION",
        "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "latest"}},
        "model_creation_parameters_schema": {
            "parameters": [
                {"name": "fake_load_seconds", "type": "float", "description": "Slow.", "required": False},
                {"name": "fake_fail", "type": "str", "description": "Fail.", "required": False},
            ]
        },
    }
    made = await house.http.post("/v4/model-templates", json=template)
    assert made.status_code == 200, made.text
    body = {"name": name, "model_type": "CHAT_COMPLETION", "model_template_id": made.json()["id"]}
    model = await house.http.post(
        "/v4/models", json={**body, "fallbacks": fallbacks, "model_creation_parameters": parameters}
    )
    assert model.status_code == 200, model.text
    path = f"/v4/models/{model.json()['id']}/deployments"
    deployment = await house.http.post(path, json={"name": name, "wait_for_ready": False})
    assert deployment.status_code == 200, deployment.text
    return deployment.json()


async def until_it(house: House, deployment: Any, is_so: Callable[[Any], bool]) -> None:
    path = f"/v4/models/{deployment['model_instance_id']}/deployments/{deployment['id']}"
    async with asyncio.timeout(60):
        while not is_so((await house.http.get(path)).json()):
            await asyncio.sleep(0.1)
    # What is told of it is written down a moment before calls are led there.
    await house.parts.on_routes()


async def test_a_vendor_answers_while_a_worker_starts(start: Start, vendor: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}})
    own = await hosted(house, "mine", ["gpt-4o"], fake_load_seconds=3.0)
    first = await house.chat("mine")
    assert first.status_code == 200, first.text
    assert first.json()["completions"][0][1] == ["Hello there"]
    assert first.headers["x-served-by"] != own["id"]
    await until_it(house, own, lambda seen: seen["status"] == "READY")
    later = await house.chat("mine")
    assert later.status_code == 200, later.text
    assert later.headers["x-served-by"] == own["id"]
    assert len(vendor.asked) == 1


async def test_a_hosted_model_answers_where_a_vendor_cannot(start: Start, vendor: FakeVendor) -> None:
    house = await start({"retries": 0})
    own = await hosted(house, "mine", [])
    await house.credential("OPENAI", api_key="sk-1", base_url=vendor.url)
    body = {"name": "theirs", "model_type": "CHAT_COMPLETION", "model_vendor": "OPENAI", "fallbacks": ["mine"]}
    model = (await house.http.post("/v4/models", json={**body, "model_creation_parameters": {"model": "m"}})).json()
    await house.http.post(f"/v4/models/{model['id']}/deployments", json={"name": "theirs"})
    for status, code in ((500, "server_error"), (429, "rate_limit_exceeded"), (401, "invalid_api_key")):
        vendor.error(status, code)
        answer = await house.chat("theirs")
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-served-by"] == own["id"]
        vendor.line.clear()


async def serve(house: House, deployment: Any, **more: Any) -> str:
    """A model server of that name; gives its path."""
    body = {"name": "Shown", "alias": "stable", "model_deployment_id": deployment["id"], **more}
    made = await house.http.post("/v4/serving", json=body)
    assert made.status_code == 200, made.text
    return f"/v4/serving/{made.json()['model_server_id']}"


async def logged(house: House, request_id: str) -> Any:
    async with asyncio.timeout(30):
        while True:
            found = await house.http.get("/v4/call-logs", params={"request_id": request_id})
            if found.json()["items"]:
                return found.json()["items"][0]
            await asyncio.sleep(0.1)


ASKED = {"messages": [{"role": "user", "content": "Hi"}]}


async def test_a_vendor_answers_for_a_server_whose_own_is_cold(start: Start, vendor: FakeVendor) -> None:
    at_once = AutoscaleSettings(idle_seconds=0.1, down_window_seconds=0.5)
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}}, autoscale=at_once)
    own = await hosted(house, "mine", [], fake_load_seconds=1.0)
    await until_it(house, own, lambda seen: seen["status"] == "READY")
    server = await serve(house, own, fallbacks=["gpt-4o"])
    await until_it(house, own, lambda seen: seen["status_detail"]["workers_ready"] == 0)
    overflow = await house.http.post(f"{server}/execute", json=ASKED)
    assert overflow.status_code == 200, overflow.text
    assert overflow.headers["x-served-by"] != own["id"]
    assert len(vendor.asked) == 1


async def test_a_vendor_answers_for_a_server_whose_own_fails(start: Start, vendor: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}})
    own = await hosted(house, "mine", [], fake_fail="request")
    await until_it(house, own, lambda seen: seen["status"] == "READY")
    server = await serve(house, own, fallbacks=["gpt-4o"])
    for stream in (False, True):
        answer = await house.http.post(f"{server}/execute", json={**ASKED, "stream": stream})
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-served-by"] != own["id"]
    assert len(vendor.asked) == 2


async def test_a_hosted_model_answers_for_a_server_of_a_vendors(start: Start, vendor: FakeVendor) -> None:
    house = await start({"retries": 0, "openai": {"api_key": "sk-1", "base_url": vendor.url}})
    own = await hosted(house, "mine", [])
    theirs = await house.model("theirs", "OPENAI", model="m")
    server = await serve(house, theirs, fallbacks=["mine"])
    for status, code in ((500, "server_error"), (429, "rate_limit_exceeded"), (401, "invalid_api_key")):
        vendor.error(status, code)
        answer = await house.http.post(f"{server}/execute", json=ASKED)
        assert (answer.status_code, answer.headers["x-served-by"]) == (200, own["id"]), answer.text
        vendor.line.clear()
    line = await logged(house, answer.headers["x-request-id"])
    assert (line["deployment_id"], line["served_by"]) == (theirs["id"], own["id"])


async def test_a_circle_is_refused(start: Start, vendor: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}})
    one = await house.model("one", "OPENAI", model="m")
    models = {}
    for name, fallbacks in (("two", ["one"]), ("three", ["two", "gpt-4o"])):
        deployment = await house.model(name, "OPENAI", model="m")
        models[name] = deployment["model_instance_id"]
        answer = await house.http.patch(f"/v4/models/{models[name]}", json={"fallbacks": fallbacks})
        assert answer.status_code == 200, answer.text
    answer = await house.http.patch(f"/v4/models/{one['model_instance_id']}", json={"fallbacks": ["three"]})
    assert (answer.status_code, answer.json()["code"]) == (422, "fallback_cycle")
    assert answer.json()["detail"][0]["loc"] == ["body", "fallbacks", 0]
    own = await house.http.patch(f"/v4/models/{one['model_instance_id']}", json={"fallbacks": [one["id"]]})
    assert own.json()["code"] == "fallback_cycle"
    unknown = await house.http.patch(f"/v4/models/{models['two']}", json={"fallbacks": ["gpt-4oo"]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "fallback_not_found")
    assert "gpt-4o" in unknown.json()["detail"][0]["msg"]
    other = await house.http.patch(f"/v4/models/{models['two']}", json={"fallbacks": ["text-embedding-3-small"]})
    assert other.json()["code"] == "model_type_mismatch"
    emptied = await house.http.patch(f"/v4/models/{models['two']}", json={"fallbacks": []})
    assert emptied.json()["fallbacks"] == []
