"""The commands that talk to a server."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import KEY, Running
from typer.testing import CliRunner, Result

from modelyard.cli.app import app
from modelyard.errors import ModelyardError


@pytest.fixture(autouse=True)
def _address(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_API_KEY", KEY)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def done(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_ps_lists_what_is_deployed(http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "[bold]mine"}).json()
    [line] = [line for line in done("ps").splitlines() if made["id"] in line]
    assert line.split() == ["[bold]mine", model["name"], "EMBEDDING", "READY", "1/1", made["id"]]
    found = {each["id"]: each for each in map(json.loads, done("ps", "--json").splitlines())}
    assert found[made["id"]]["name"] == "[bold]mine"


def test_ps_says_why(http: httpx.Client, model: dict[str, Any]) -> None:
    body = {"name": "one", "model_creation_parameters": {"fake_fail": "load"}}
    assert http.post(f"/v4/models/{model['id']}/deployments", json=body).status_code == 422
    [line] = [line for line in done("ps").splitlines() if model["name"] in line]
    assert "UPDATE_FAILED" in line
    assert line.endswith("the engine said: no such file ")


def test_logs_by_name_and_by_id(http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": model["name"]}).json()
    by_name = done("logs", model["name"], "-n", "2")
    assert by_name == done("logs", made["id"], "--lines", "2")
    assert [line.split(" of ")[0] for line in by_name.splitlines()] == ["line 498", "line 499"]


def test_a_name_that_means_several_or_none(http: httpx.Client, model: dict[str, Any], name: str, account: str) -> None:
    refused = run("logs", "nowhere")
    assert isinstance(refused.exception, ModelyardError)
    assert "no deployment 'nowhere'" in str(refused.exception)
    starter = http.get("/v4/models", params={"model_type": "RERANKING"}).json()["items"][-1]
    ids = [
        http.post(f"/v4/models/{each}/deployments", json={"name": name, "account_id": account}).json()["id"]
        for each in (model["id"], starter["id"])
    ]
    ambiguous = run("logs", name)
    assert all(each in str(ambiguous.exception) for each in ids)
    http.delete(f"/v4/models/{starter['id']}/deployments/{ids[1]}")


def test_keys_come_and_go(server: Running, account: str, name: str) -> None:
    key = done("keys", "create", name, "--role", "viewer", "--account", account).strip()
    assert httpx.get(f"{server.url}/user-info", headers={"x-api-key": key}).status_code == 200
    [line] = [line for line in done("keys", "list").splitlines() if name in line]
    assert "viewer" in line
    assert key not in line
    done("keys", "revoke", line.split()[-1])
    assert httpx.get(f"{server.url}/user-info", headers={"x-api-key": key}).status_code == 401
    assert name not in done("keys", "list")


def test_a_narrow_key_is_made_rotated_and_listed(server: Running, account: str, name: str) -> None:
    first = done(
        "keys", "create", name, "--account", account, "--scope", "read", "--model", "a", "--model", "b"
    ).strip()
    held = httpx.get(f"{server.url}/user-info", headers={"x-api-key": first}).json()["id"]
    done("keys", "create", f"{name}-2", "--for", held, "--scope", "inference", "--scope", "read")
    lines = {line.split()[0]: line for line in done("keys", "list").splitlines() if name in line}
    assert "inference, read" in lines[f"{name}-2"]
    key_id = lines[name].split()[-1]
    second = done("keys", "rotate", key_id, "--grace", "0").strip()
    status = {
        key: httpx.get(f"{server.url}/user-info", headers={"x-api-key": key}).status_code for key in (first, second)
    }
    assert status == {first: 401, second: 200}
    assert httpx.get(f"{server.url}/v4/api-keys/{key_id}", headers={"x-api-key": second}).json()["models"] == ["a", "b"]


def test_what_the_server_says_is_told(account: str, name: str) -> None:
    refused = run("keys", "create", name, "--account", account, "--expires-at", "2001-01-01T00:00:00Z")
    assert refused.exit_code != 0
    assert "must be in the future" in str(refused.exception)


def test_no_server_and_no_key_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELYARD_URL", "http://127.0.0.1:1")
    assert "modelyard serve" in str(run("ps").exception)
    monkeypatch.delenv("MODELYARD_API_KEY")
    assert "admin.key" in str(run("ps", "--data-dir", str(tmp_path)).exception)


def test_the_key_file_is_enough(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELYARD_API_KEY")
    assert "smollm2-135m-instruct" in done("ps", "--data-dir", str(server.parts.settings.data_dir))
