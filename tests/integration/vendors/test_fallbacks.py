"""From hosted models to vendors and back: each answers where the other cannot."""

import asyncio
from typing import Any

from fake_vendor import FakeVendor
from vendor_house import House, Start


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


async def test_a_vendor_answers_while_a_worker_starts(start: Start, vendor: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}})
    own = await hosted(house, "mine", ["gpt-4o"], fake_load_seconds=3.0)
    first = await house.chat("mine")
    assert first.status_code == 200, first.text
    assert first.json()["completions"][0][1] == ["Hello there"]
    assert first.headers["x-served-by"] != own["id"]
    path = f"/v4/models/{own['model_instance_id']}/deployments/{own['id']}"
    async with asyncio.timeout(30):
        while (await house.http.get(path)).json()["status"] != "READY":
            await asyncio.sleep(0.2)
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
