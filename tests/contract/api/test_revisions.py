"""A deployment's revisions, and going back; what workers do is pretended."""

from typing import Any

import httpx
import pytest
from scale_gp import SGPClient


@pytest.fixture
def path(http: httpx.Client, model: dict[str, Any]) -> str:
    """Of a deployment that is ready."""
    answer = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"})
    assert answer.status_code == 200, answer.text
    return f"/v4/models/{model['id']}/deployments/{answer.json()['id']}"


def revisions(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = http.get(f"{path}/revisions")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def change(http: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = http.patch(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_every_change_of_what_runs_is_listed_with_what_it_changed_and_by_whom(http: httpx.Client, path: str) -> None:
    changed = change(http, path, model_creation_parameters={"fake_fail": "request"})
    newest, first = revisions(http, path)
    assert (newest["number"], newest["state"], newest["why"]) == (2, "serving", "deployment changed")
    assert newest["changes"] == [{"field": "parameters.fake_fail", "before": None, "after": "request"}]
    assert newest["revision"] == changed["status_detail"]["revision"]
    assert newest["created_by_user_id"] == changed["created_by_user_id"]
    assert (first["number"], first["state"], first["why"], first["changes"]) == (1, "superseded", "created", [])
    assert first["ready_at"] is not None


def test_scaling_and_names_are_no_revisions(http: httpx.Client, path: str) -> None:
    change(http, path, name="renamed", vendor_configuration={"max_workers": 3, "idle_seconds": 60})
    assert len(revisions(http, path)) == 1


def test_a_template_and_a_model_make_revisions_too(http: httpx.Client, path: str, template: dict[str, Any]) -> None:
    bundle = {"registry": "modelyard", "image": "fake", "tag": "latest", "env": {"A": "1"}}
    edit = {"vendor_configuration": {"bundle_config": bundle}}
    assert http.patch(f"/v4/model-templates/{template['id']}", json=edit).status_code == 200
    values = {"model_creation_parameters": {"fake_fail": "request"}}
    assert http.patch(path.partition("/deployments")[0], json=values).status_code == 200
    assert [each["why"] for each in revisions(http, path)] == ["model changed", "template changed", "created"]
    assert revisions(http, path)[1]["changes"] == [{"field": "bundle.env.A", "before": None, "after": "1"}]


def test_going_back_restores_what_ran_and_leaves_scaling(http: httpx.Client, path: str) -> None:
    change(http, path, model_creation_parameters={"fake_fail": "request"})
    change(http, path, vendor_configuration={"max_workers": 4})
    back = http.post(f"{path}/rollback", json={"revision": 1}).json()
    assert (back["status"], back["model_creation_parameters"]) == ("READY", {})
    assert back["vendor_configuration"]["max_workers"] == 4
    newest, *_, first = revisions(http, path)
    assert (newest["number"], newest["why"], newest["revision"]) == (3, "rollback to 1", first["revision"])
    assert (newest["state"], first["state"]) == ("serving", "superseded")


def test_without_a_word_it_goes_to_the_last_good_one(http: httpx.Client, path: str) -> None:
    change(http, path, model_creation_parameters={"fake_fail": "request"})
    broken = http.patch(path, json={"model_creation_parameters": {"fake_fail": "load"}})
    assert broken.status_code == 422
    back = http.post(f"{path}/rollback", json={}).json()
    assert back["model_creation_parameters"] == {"fake_fail": "request"}
    by_fingerprint = http.post(f"{path}/rollback", json={"revision": revisions(http, path)[-1]["revision"]})
    assert by_fingerprint.json()["model_creation_parameters"] == {}


def test_what_went_back_stays_there_when_it_is_scaled(http: httpx.Client, path: str, template: dict[str, Any]) -> None:
    bundle = {"registry": "modelyard", "image": "fake", "tag": "latest", "env": {"A": "1"}}
    http.patch(f"/v4/model-templates/{template['id']}", json={"vendor_configuration": {"bundle_config": bundle}})
    back = http.post(f"{path}/rollback", json={"revision": 1}).json()
    scaled = change(http, path, vendor_configuration={"max_workers": 2})
    http.patch(f"/v4/model-templates/{template['id']}", json={"name": f"{template['name']}-renamed"})
    now = http.get(path).json()
    assert {each["status_detail"]["revision"] for each in (back, scaled, now)} == {
        revisions(http, path)[-1]["revision"]
    }


def test_going_back_to_what_runs_changes_nothing(http: httpx.Client, path: str) -> None:
    assert http.post(f"{path}/rollback", json={"revision": 1}).status_code == 200
    assert len(revisions(http, path)) == 1


def test_there_may_be_nothing_to_go_back_to(http: httpx.Client, path: str) -> None:
    nothing = http.post(f"{path}/rollback", json={})
    assert (nothing.status_code, nothing.json()["code"]) == (409, "no_earlier_revision")
    for unknown in (9, "abcdef", "nonsense"):
        answer = http.post(f"{path}/rollback", json={"revision": unknown})
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_revision"), answer.text
        assert answer.json()["detail"][0]["loc"] == ["body", "revision"]
    for bad in (0, -1, 1.5, True, [], ""):
        assert http.post(f"{path}/rollback", json={"revision": bad}).status_code == 422, bad


def test_pages(http: httpx.Client, path: str) -> None:
    for value in ("request", "", "request"):
        change(http, path, model_creation_parameters={"fake_fail": value})
    page = http.get(f"{path}/revisions", params={"page": 2, "limit": 3}).json()
    assert (page["total_item_count"], page["current_page"], [each["number"] for each in page["items"]]) == (4, 2, [1])


def test_built_ins_and_what_is_being_deleted_do_not_go_back(
    http: httpx.Client, model: dict[str, Any], client: SGPClient
) -> None:
    made = http.post(
        f"/v4/models/{model['id']}/deployments",
        json={"name": "held", "deployment_metadata": {"stay": True}, "wait_for_ready": False},
    ).json()
    path = f"/v4/models/{model['id']}/deployments/{made['id']}"
    assert http.get("/v4/models/nobody/deployments/none/revisions").status_code == 404
    with http.stream("DELETE", path) as deleted:
        assert deleted.status_code == 200
    answer = http.post(f"{path}/rollback", json={"revision": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "deployment_deleted")
    patched = http.patch(path, json={"name": "other"})
    assert (patched.status_code, patched.json()["code"]) == (409, "deployment_deleted")
