"""People and service accounts of an account: invited, given roles, disabled, removed; never the last admin."""

from typing import Any

import httpx
import pytest
from api_server import Running


@pytest.fixture
def team(http: httpx.Client, name: str) -> str:
    """An account whose only admin is the administrator."""
    account: str = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    return account


@pytest.fixture
def me(http: httpx.Client) -> str:
    identity: str = http.get("/user-info").json()["id"]
    return identity


def invite(http: httpx.Client, team: str, email: str, role: str = "member") -> dict[str, Any]:
    answer = http.post(f"/v4/accounts/{team}/members", json={"email": email, "role": role})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def as_key(server: Running, key: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=30)


def key_of(http: httpx.Client, identity_id: str) -> str:
    answer = http.post("/v4/api-keys", json={"name": "first", "identity_id": identity_id})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["key"])


def test_an_invited_person_has_no_right_until_a_key_is_handed_over(
    server: Running, http: httpx.Client, team: str, name: str
) -> None:
    ada = invite(http, team, f"Ada.{name}@Example.com", "editor")
    assert (ada["email"], ada["role"], ada["status"]) == (f"ada.{name}@example.com", "editor", "invited")
    with as_key(server, key_of(http, ada["id"])) as caller:
        [profile] = caller.get("/user-info").json()["access_profiles"]
        assert (profile["account"]["id"], profile["role"]) == (team, "editor")
    assert http.get(f"/v4/accounts/{team}/members/{ada['id']}").json()["status"] == "active"


@pytest.mark.parametrize("spelling", ["ADA.{}@EXAMPLE.COM", " ada.{}@example.com ", "Ada.{}@Example.Com"])
def test_one_address_is_one_person(http: httpx.Client, team: str, name: str, spelling: str) -> None:
    ada = invite(http, team, f"ada.{name}@example.com")
    again = http.post(f"/v4/accounts/{team}/members", json={"email": spelling.format(name)})
    assert (again.status_code, again.json()["code"]) == (409, "already_member")
    other = http.post("/accounts", json={"account_name": "other"}).json()["account_id"]
    assert invite(http, other, spelling.format(name))["id"] == ada["id"]


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@x.org", "a b@x.org", "ada@x.org, eve@x.org", "x" * 400])
def test_what_is_no_address_is_refused_by_name(http: httpx.Client, team: str, email: str) -> None:
    answer = http.post(f"/v4/accounts/{team}/members", json={"email": email})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "email"]


@pytest.mark.parametrize("role", ["owner", "disabled", "invited", "", 1, None])
def test_roles_are_those_of_the_client(http: httpx.Client, team: str, role: object) -> None:
    answer = http.post(f"/v4/accounts/{team}/members", json={"email": "ada@example.com", "role": role})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "role"]


def test_the_last_admin_stays(http: httpx.Client, team: str, me: str) -> None:
    path = f"/v4/accounts/{team}/members/{me}"
    invite(http, team, "invited.admin@example.com", "admin")  # who is only invited governs nothing yet
    for answer in (
        http.patch(path, json={"role": "editor"}),
        http.patch(path, json={"status": "disabled"}),
        http.delete(path),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin"), answer.text
        assert answer.headers["x-should-retry"] == "false"
    other = http.post("/v4/service-accounts", json={"name": "robot", "role": "admin", "account_id": team}).json()
    assert http.patch(path, json={"role": "editor"}).json()["role"] == "editor"
    assert http.delete(f"/v4/service-accounts/{other['id']}").json()["code"] == "last_admin"


def test_a_role_that_changes_counts_at_once(server: Running, http: httpx.Client, team: str) -> None:
    robot = http.post("/v4/service-accounts", json={"name": "robot", "role": "manager", "account_id": team}).json()
    path = f"/v4/service-accounts/{robot['id']}"
    with as_key(server, key_of(http, robot["id"])) as caller:
        assert caller.get(f"/v4/accounts/{team}/members").status_code == 200
        assert http.patch(path, json={"role": "viewer"}).json()["role"] == "viewer"
        assert caller.get(f"/v4/accounts/{team}/members").status_code == 403
        assert http.patch(path, json={"status": "disabled"}).json() == {
            **robot,
            "role": "viewer",
            "status": "disabled",
        }
        assert caller.get(f"/v4/accounts/{team}").status_code == 404
        assert caller.get("/v4/models").json()["items"] == [], "nor is what is built in there any more"
        assert http.patch(path, json={"status": "active"}).status_code == 200
        assert caller.get(f"/v4/accounts/{team}").status_code == 200


def test_a_manager_touches_no_admin(server: Running, http: httpx.Client, team: str, me: str) -> None:
    robot = http.post("/v4/service-accounts", json={"name": "m", "role": "manager", "account_id": team}).json()
    boss = http.post("/v4/service-accounts", json={"name": "a", "role": "admin", "account_id": team}).json()
    secret = http.post("/v4/api-keys", json={"name": "k", "identity_id": boss["id"]}).json()
    members = f"/v4/accounts/{team}/members"
    with as_key(server, key_of(http, robot["id"])) as manager:
        tries = (
            ("POST", members, {"email": "eve@example.com", "role": "admin"}),
            ("POST", "/v4/service-accounts", {"name": "x", "role": "admin"}),
            ("POST", "/v4/api-keys", {"name": "x", "role": "admin"}),
            ("POST", "/v4/api-keys", {"name": "x", "identity_id": boss["id"]}),
            ("POST", f"/v4/api-keys/{secret['id']}/rotate", {}),
            ("PATCH", f"{members}/{robot['id']}", {"role": "admin"}),
            ("PATCH", f"{members}/{boss['id']}", {"role": "viewer"}),
            ("DELETE", f"{members}/{me}", None),
            ("DELETE", f"/v4/api-keys/{secret['id']}", None),
        )
        for method, path, body in tries:
            answer = manager.request(method, path, **({} if body is None else {"json": body}))
            assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low"), (method, path, answer.text)
        assert manager.post(members, json={"email": "eve@example.com", "role": "manager"}).status_code == 200


def test_who_is_in_no_account_any_more_has_no_key_any_more(server: Running, http: httpx.Client, team: str) -> None:
    ada = invite(http, team, "leaver@example.com")
    with as_key(server, key_of(http, ada["id"])) as caller:
        assert caller.get("/user-info").status_code == 200
        assert http.delete(f"/v4/accounts/{team}/members/{ada['id']}").json() == {"count": 1, "success": True}
        assert caller.get("/user-info").status_code == 401
        invite(http, team, "leaver@example.com")
        assert caller.get("/user-info").status_code == 401, "an old key does not come back with its owner"
    assert http.get(f"/v4/accounts/{team}/members/{'0' * 36}").json()["code"] == "member_not_found"


def test_a_disabled_account_gives_nobody_any_right(server: Running, http: httpx.Client, team: str) -> None:
    robot = http.post("/v4/service-accounts", json={"name": "r", "role": "admin", "account_id": team}).json()
    with as_key(server, key_of(http, robot["id"])) as caller:
        refused = caller.patch(f"/v4/accounts/{team}", json={"status": "disabled"})
        assert (refused.status_code, refused.json()["code"]) == (403, "administrator_needed")
        assert http.patch(f"/v4/accounts/{team}", json={"status": "disabled"}).json()["status"] == "disabled"
        assert caller.get(f"/v4/accounts/{team}").status_code == 404
        [profile] = caller.get("/user-info").json()["access_profiles"]
        assert (profile["role"], profile["account"]["status"]) == ("disabled", "disabled")
        assert http.patch(f"/v4/accounts/{team}", json={"status": "active"}).status_code == 200
        assert caller.patch(f"/v4/accounts/{team}", json={"name": "renamed"}).json()["name"] == "renamed"


def test_members_are_listed_filtered_and_paged(http: httpx.Client, team: str, name: str) -> None:
    for letter in "abc":
        invite(http, team, f"{letter}.{name}@example.com", "viewer")
    path = f"/v4/accounts/{team}/members"
    listed = http.get(path, params={"role": "viewer", "sort_by": "email:asc", "limit": 2}).json()
    assert [each["email"][0] for each in listed["items"]] == ["a", "b"]
    assert (listed["total_item_count"], listed["items_per_page"], listed["current_page"]) == (3, 2, 1)
    assert len(http.get(path, params={"role": "viewer", "limit": 2, "page": 2}).json()["items"]) == 1
    assert http.get(path, params={"page": 9}).json()["items"] == []
    [one] = http.get(path, params={"email": f"B.{name}@example.com"}).json()["items"]
    assert one["email"] == f"b.{name}@example.com"
    assert http.get(path, params={"status": "active"}).json()["total_item_count"] == 1
    assert http.get(path, params={"sort_by": "shoe_size"}).status_code == 422


def test_the_platform_s_own_account_is_nobody_s(http: httpx.Client) -> None:
    platform = "00000000-0000-4000-8000-000000000001"
    answer = http.post(f"/v4/accounts/{platform}/members", json={"email": "ada@example.com"})
    assert (answer.status_code, answer.json()["code"]) == (403, "built_in")
    assert http.patch(f"/v4/accounts/{platform}", json={"status": "disabled"}).status_code == 403


def test_one_administrator_of_the_installation_stays(server: Running, http: httpx.Client, team: str, me: str) -> None:
    answer = http.patch(f"/v4/users/{me}", json={"is_deployment_admin": False})
    assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")
    ada = invite(http, team, "second.administrator@example.com")
    with as_key(server, key_of(http, ada["id"])) as caller:
        own = caller.patch(f"/v4/users/{ada['id']}", json={"is_deployment_admin": True})
        assert (own.status_code, own.json()["code"]) == (403, "administrator_needed")
        assert caller.patch(f"/v4/users/{ada['id']}", json={"first_name": "Ada"}).json()["first_name"] == "Ada"
        assert http.patch(f"/v4/users/{ada['id']}", json={"is_deployment_admin": True}).status_code == 200
        assert caller.post("/accounts", json={"account_name": "hers"}).status_code == 200
        assert http.patch(f"/v4/users/{ada['id']}", json={"is_deployment_admin": False}).status_code == 200
        assert caller.post("/accounts", json={"account_name": "hers"}).status_code == 403


def test_an_invitation_shows_nobody_s_keys(server: Running, http: httpx.Client, team: str, name: str) -> None:
    """Anybody may be invited: that must not tell the inviting account of what a stranger has."""
    email = f"grace.{name}@example.com"
    grace = invite(http, team, email)["id"]
    key_of(http, grace)
    theirs = http.post("/accounts", json={"account_name": f"elsewhere {name}"}).json()["account_id"]
    manager = http.post("/v4/api-keys", json={"account_id": theirs, "name": name, "role": "manager"}).json()["key"]
    with as_key(server, manager) as elsewhere:
        assert invite(elsewhere, theirs, email)["id"] == grace
        assert grace not in {key["identity_id"] for key in elsewhere.get("/v4/api-keys").json()["items"]}
        hers = http.get("/v4/api-keys", params={"identity_id": grace}).json()["items"]
        assert elsewhere.get(f"/v4/api-keys/{hers[0]['id']}").status_code == 404


def test_a_service_account_is_not_invited(http: httpx.Client, team: str, name: str) -> None:
    made = http.post("/v4/service-accounts", json={"account_id": team, "name": name, "role": "member"}).json()
    other = http.post("/accounts", json={"account_name": f"other {name}"}).json()["account_id"]
    email = f"{made['id']}@service-accounts.modelyard.invalid"
    answer = http.post(f"/v4/accounts/{other}/members", json={"email": email, "role": "viewer"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "email"])


def test_repeating_an_invitation_or_a_service_account_makes_one(http: httpx.Client, team: str, name: str) -> None:
    for path, body in (
        (f"/v4/accounts/{team}/members", {"email": f"{name}@example.com"}),
        ("/v4/service-accounts", {"name": name, "account_id": team}),
    ):
        headers = {"idempotency-key": f"{name} {path}"}
        made = [http.post(path, json=body, headers=headers).json()["id"] for _ in range(2)]
        assert made[0] == made[1]
