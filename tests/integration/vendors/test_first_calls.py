"""A vendor's models beside the hosted ones: there with its credentials, called like any other, gone with them."""

import re
from pathlib import Path

from fake_vendor import FakeVendor
from vendor_house import Start

from modelyard.domain.vendors import VENDORS


async def test_models_of_another_server_are_there_by_settings_alone(start: Start, vendor: FakeVendor) -> None:
    house = await start({"other": {"base_url": vendor.url, "api_key": "sk-1", "models": "llama, bge=EMBEDDING"}})
    models = {each["name"]: each for each in (await house.http.get("/v4/models")).json()["items"]}
    assert {name: each["model_type"] for name, each in models.items()} == {
        "llama": "CHAT_COMPLETION",
        "bge": "EMBEDDING",
    }
    [deployment] = (await house.http.get(f"/v4/models/{models['llama']['id']}/deployments")).json()["items"]
    assert (deployment["status"], deployment["status_detail"]["phase"]) == ("READY", "ready")
    answer = await house.chat("llama", temperature=0.5, max_tokens=10)
    assert answer.status_code == 200, answer.text
    assert answer.json()["completions"] == [["Hi", ["Hello there"]]]
    assert (answer.json()["prompt_tokens"], answer.json()["response_tokens"]) == (11, 2)
    [asked] = vendor.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer sk-1"
    assert asked.body == {
        "model": "llama",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "max_tokens": 10,
    }
    embedded = await house.http.post("/v4/models/bge/embeddings", json={"texts": ["a", "bcd"]})
    assert embedded.json() == {"embeddings": [["a", [1.0, 1.0]], ["bcd", [3.0, 1.0]]], "tokens_used": 5}


async def test_several_other_servers(start: Start, vendor: FakeVendor, another: FakeVendor) -> None:
    house = await start(
        {
            "other": {"base_url": vendor.url, "models": "one", "api_key": "sk-1"},
            "others": {"second": {"base_url": another.url, "models": "two", "api_key": "sk-2"}},
        }
    )
    assert (await house.chat("one")).json()["completions"][0][1] == ["Hello there"]
    assert (await house.chat("two")).json()["completions"][0][1] == ["From elsewhere"]
    assert vendor.asked[0].headers["authorization"] == "Bearer sk-1"
    assert another.asked[0].headers["authorization"] == "Bearer sk-2"


async def test_a_stream(start: Start, vendor: FakeVendor) -> None:
    house = await start({"other": {"base_url": vendor.url, "models": "llama"}})
    answer = await house.chat("llama", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert len(lines) >= 3
    assert "authorization" not in vendor.asked[0].headers
    assert vendor.asked[0].body["stream_options"] == {"include_usage": True}


async def test_the_catalogs_models_come_and_go_with_credentials(start: Start, vendor: FakeVendor) -> None:
    house = await start()
    assert (await house.http.get("/v4/models")).json()["items"] == []
    credential = await house.credential("OPENAI", api_key="sk-of-the-account", base_url=vendor.url)
    answer = await house.chat("gpt-4o", max_tokens=99_999)
    assert answer.status_code == 200, answer.text
    assert vendor.asked[0].headers["authorization"] == "Bearer sk-of-the-account"
    assert vendor.asked[0].body["max_completion_tokens"] == 16384
    assert "max_tokens" in answer.headers["x-parameters-adjusted"]
    names = {each["name"] for each in (await house.http.get("/v4/models")).json()["items"]}
    assert {"gpt-4o", "text-embedding-3-small"} <= names
    assert "claude-sonnet-4-5" not in names
    deleted = await house.http.delete(f"/v4/vendor-credentials/{credential['id']}")
    assert deleted.status_code == 200
    gone = await house.chat("gpt-4o")
    assert gone.status_code == 404, gone.text
    assert (await house.http.get("/v4/models")).json()["items"] == []


async def test_built_in_models_do_not_change(start: Start, vendor: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}})
    page = await house.http.get("/v4/models", params={"limit": 100})
    model = next(each for each in page.json()["items"] if each["name"] == "gpt-4o")
    [deployment] = (await house.http.get(f"/v4/models/{model['id']}/deployments")).json()["items"]
    path = f"/v4/models/{model['id']}/deployments/{deployment['id']}"
    for answer in (
        await house.http.patch(path, json={"name": "mine"}),
        await house.http.delete(path),
        await house.http.patch(f"/v4/models/{model['id']}", json={"name": "mine"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "built_in")


async def test_users_models(start: Start, vendor: FakeVendor) -> None:
    """A fine-tuned model's name, at an address of one's own, with a key that is stored for it."""
    house = await start()
    await house.credential("OPENAI", name="mine", api_key="sk-mine", base_url=vendor.url)
    deployment = await house.model("tuned", "OPENAI", model="ft:gpt-4o:acme", credential="mine", context_window=1000)
    assert deployment["status"] == "READY"
    assert deployment["vendor_configuration"] == {"per_worker": 1000}
    answer = await house.chat("tuned")
    assert answer.status_code == 200, answer.text
    assert vendor.asked[0].body["model"] == "ft:gpt-4o:acme"
    assert vendor.asked[0].headers["authorization"] == "Bearer sk-mine"
    path = f"/v4/models/{deployment['model_instance_id']}/deployments/{deployment['id']}"
    changed = await house.http.patch(path, json={"model_creation_parameters": {"model": "ft:2"}})
    assert changed.status_code == 200, changed.text
    await house.chat("tuned")
    assert vendor.asked[1].body["model"] == "ft:2"
    assert (await house.http.delete(path)).json()["success"]
    assert (await house.chat("tuned")).status_code == 404
    assert (await house.http.delete(f"/v4/models/{deployment['model_instance_id']}")).json()["success"]


def test_the_guide_has_a_row_for_each_vendor_and_each_is_asked_of_the_independent_mock() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "vendors.md").read_text()
    rows = re.findall(r"^\| ([A-Z_]+) \|", guide, re.MULTILINE)
    mocked = re.findall(
        r'^    "([A-Z_]+)": \(', (Path(__file__).parent / "test_independent_mock.py").read_text(), re.MULTILINE
    )
    assert set(rows) == set(mocked) == set(VENDORS)
