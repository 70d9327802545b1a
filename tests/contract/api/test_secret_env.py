"""Secret variables of templates: they go in and do not come out."""

from typing import Any

import httpx
import pytest
from api_server import Running
from scale_gp import SGPClient

from modelyard.control.secret_env import without

SECRET = "hf_thisIsNobodysBusiness"


@pytest.fixture
def secretive(http: httpx.Client, fake_template: dict[str, Any]) -> dict[str, Any]:
    fake_template["vendor_configuration"]["bundle_config"]["secret_env"] = {"HUB_PASS": SECRET, "OTHER": "second-one"}
    answer = http.post("/v4/model-templates", json=fake_template)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def change(http: httpx.Client, template: dict[str, Any], secret_env: Any) -> httpx.Response:
    body = {"vendor_configuration": {"bundle_config": {"secret_env": secret_env}}}
    return http.patch(f"/v4/model-templates/{template['id']}", json=body)


def kept(server: Running, template: dict[str, Any]) -> dict[str, str]:
    async def read() -> dict[str, str]:
        async with server.parts.store.read() as tx:
            return dict((await tx.templates.get(template["id"], None)).bundle.secret_env)

    found: dict[str, str] = server.run(read())
    return found


def shown(template: dict[str, Any]) -> Any:
    return template["vendor_configuration"]["bundle_config"]["secret_env"]


def test_it_is_sealed_and_never_given_back(
    server: Running, http: httpx.Client, client: SGPClient, secretive: dict[str, Any]
) -> None:
    assert shown(secretive) == {"HUB_PASS": "***", "OTHER": "***"}
    path = f"/v4/model-templates/{secretive['id']}"
    told = [http.get(path).text, http.get("/v4/model-templates", params={"limit": 1000}).text]
    told.append(http.get("/v4/audit-log", params={"entity_id": secretive["id"]}).text)
    assert client.model_templates.retrieve(secretive["id"]).id == secretive["id"]
    sealed = kept(server, secretive)
    for text in told:
        assert SECRET not in text
        assert sealed["HUB_PASS"] not in text
    assert server.parts.vault.unseal(sealed["HUB_PASS"]) == SECRET
    for path_of in server.parts.settings.data_dir.glob("modelyard.db*"):
        assert SECRET.encode() not in path_of.read_bytes()


def test_what_is_sent_again_or_masked_stays_as_it_was(
    server: Running, http: httpx.Client, secretive: dict[str, Any]
) -> None:
    before = kept(server, secretive)
    assert change(http, secretive, shown(secretive)).status_code == 200
    assert change(http, secretive, {"HUB_PASS": SECRET, "OTHER": "***"}).status_code == 200
    assert kept(server, secretive) == before, "nothing rolls over for that"
    answer = change(http, secretive, {"HUB_PASS": "another-one"})
    assert shown(answer.json()) == {"HUB_PASS": "***"}
    after = kept(server, secretive)
    assert set(after) == {"HUB_PASS"}
    assert server.parts.vault.unseal(after["HUB_PASS"]) == "another-one"
    assert shown(change(http, secretive, None).json()) == {}


def test_a_change_rolls_over_and_shows_no_value(
    http: httpx.Client, secretive: dict[str, Any], account: str, name: str
) -> None:
    body = {"account_id": account, "name": name, "model_type": "EMBEDDING", "model_template_id": secretive["id"]}
    model = http.post("/v4/models", json=body).json()
    path = f"/v4/models/{model['id']}/deployments"
    deployment = http.post(path, json={"name": "one"}).json()
    assert change(http, secretive, {"HUB_PASS": "another-one"}).status_code == 200
    answer = http.get(f"{path}/{deployment['id']}/revisions")
    fields = {each["field"]: each for entry in answer.json()["items"] for each in entry["changes"]}
    changed = fields["bundle.secret_env.HUB_PASS"]
    assert (changed["before"], changed["after"]) == ("***", "***")
    assert "gAAAA" not in answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("secret_env", "at"),
    [
        ({"NEW": "***"}, "NEW"),
        ({"1X": "x"}, "1X"),
        ({"PORT": "1"}, "PORT"),
        ({"SAME": "x"}, "SAME"),
        ({"X": 1}, "X"),
    ],
)
def test_bad_ones_are_named(
    http: httpx.Client, fake_template: dict[str, Any], secret_env: dict[str, Any], at: str
) -> None:
    bundle = fake_template["vendor_configuration"]["bundle_config"]
    bundle |= {"env": {"SAME": "y"}, "secret_env": secret_env}
    answer = http.post("/v4/model-templates", json=fake_template)
    assert answer.status_code == 422, answer.text
    assert ["secret_env", at] == answer.json()["detail"][0]["loc"][-2:]


def test_workers_logs_are_read_without_it(
    server: Running, http: httpx.Client, fake_template: dict[str, Any], account: str, name: str
) -> None:
    # The pretended launcher says "line 499 of …": that is the secret here.
    fake_template["vendor_configuration"]["bundle_config"]["secret_env"] = {"X": "line 499"}
    template = http.post("/v4/model-templates", json=fake_template).json()
    body = {"account_id": account, "name": name, "model_type": "EMBEDDING", "model_template_id": template["id"]}
    model = http.post("/v4/models", json=body).json()
    deployment = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    workers = http.get(f"/v4/model-deployments/{deployment['id']}/logs", params={"lines": 2}).json()["workers"]
    [lines] = [worker["lines"] for worker in workers]
    assert [line.split(" of ")[0] for line in lines] == ["line 498", "***"]


def test_the_longest_is_masked_first() -> None:
    assert without("a secret-and-more b secret", {"secret", "secret-and-more", "b"}) == "a *** b ***"
