"""The permission table over HTTP, cell by cell: every role at every route. A route without a line here fails."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_server import Running

import modelyard.http
from modelyard.control.people.api_keys import new_key
from modelyard.domain.accounts import Account, Identity, IdentityType, Membership, MemberState
from modelyard.domain.call_logs import KeptBody, KeptCall, log_id
from modelyard.domain.intervals import to_microseconds
from modelyard.domain.rights import RIGHTS, Right, Role
from modelyard.store.call_bodies import packed
from modelyard.testing.usage import make_usage

ROLES = [*(role for role in Role if RIGHTS[role]), Role.DISABLED, Role.INVITED, None]
"""None: somebody who is in another account."""


@dataclass(frozen=True)
class Place:
    """One account with a key for every role in it, and things to try."""

    account: str
    keys: dict[Role | None, str]
    admin: httpx.Client
    root: httpx.Client
    call: str
    """A call that the account paid for, in the log."""

    def template(self) -> str:
        return self._made("/v4/model-templates", **fake_template(), account_id=self.account)

    def model(self) -> str:
        body = {"name": unique(), "model_type": "EMBEDDING", "model_template_id": self.template()}
        return self._made("/v4/models", **body, account_id=self.account)

    def deployment(self) -> tuple[str, str]:
        model = self.model()
        return model, self._made(f"/v4/models/{model}/deployments", name="main")

    def group(self) -> str:
        return self._made("/v4/model-groups", name=unique(), account_id=self.account)

    def server(self) -> str:
        return self._made("/v4/serving", name=unique(), model_deployment_id=self.deployment()[1])

    def credential(self) -> str:
        return self._made("/v4/vendor-credentials", **vendor_access(), account_id=self.account)

    def limit(self) -> str:
        return self._made("/v4/limits", **a_limit(self), account_id=self.account)

    def service_account(self) -> str:
        return self._made("/v4/service-accounts", name=unique(), account_id=self.account)

    def key(self) -> str:
        return self._made("/v4/api-keys", name=unique(), account_id=self.account, role="viewer")

    def _made(self, path: str, **body: Any) -> str:
        answer = self.admin.post(path, json=body)
        assert answer.status_code == 200, answer.text
        made = answer.json()
        return str(made.get("id") or made["model_server_id"])


def unique() -> str:
    return f"n-{uuid4().hex[:12]}"


def fake_template() -> dict[str, Any]:
    return {
        "name": unique(),
        "endpoint_type": "SYNC",
        "model_type": "EMBEDDING",
        "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "latest"}},
    }


def a_limit(place: Place) -> dict[str, Any]:
    return {"name": unique(), "subject": "identity", "subject_id": place.service_account(), "calls_per_minute": 1}


def vendor_access() -> dict[str, Any]:
    return {"name": unique(), "vendor": "OPENAI", "api_key": "sk-nothing"}


@pytest.fixture(scope="module")
def place(server: Running, http: httpx.Client) -> Iterator[Place]:
    made = http.post("/accounts", json={"account_name": "permissions"}).json()["account_id"]
    keys = {role: server.run(_hold(server, made, role)) for role in ROLES}
    headers = {"x-api-key": keys[Role.ADMIN]}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as admin:
        yield Place(made, keys, admin, http, server.run(_called(server, made)))


async def _called(server: Running, account_id: str, **by: str) -> str:
    record = make_usage(account_id=account_id, **by)
    async with server.parts.store.begin() as tx:
        await tx.usage.add([record])
        body = KeptBody("[]")
        await tx.call_bodies.add([packed(KeptCall(record.id, record.started_at, account_id, "/", body, body))])
    return log_id(to_microseconds(record.started_at), record.id)


async def _hold(server: Running, account_id: str, role: Role | None) -> str:
    """A key of somebody who is that in the account, or is in another one."""
    now = datetime.now(UTC)
    identity = Identity(str(uuid4()), IdentityType.USER, f"{uuid4().hex}@example.com", now)
    key, secret = new_key(identity.id, str(role), now)
    state = {Role.DISABLED: MemberState.DISABLED, Role.INVITED: MemberState.INVITED}.get(role, MemberState.ACTIVE)
    granted = role if role is not None and RIGHTS[role] else Role.ADMIN
    async with server.parts.store.begin() as tx:
        account = await tx.accounts.account(account_id)
        if role is None:
            account = Account(str(uuid4()), "elsewhere", now)
            await tx.accounts.add_account(account)
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_membership(Membership(str(uuid4()), account, identity.id, identity.type, granted, state))
        await tx.accounts.add_key(key)
    return secret


@dataclass(frozen=True)
class Try:
    path: str
    body: dict[str, Any] | None = None


MakeTry = Callable[[Place], Try]
WHO = "anybody"
ADMINISTRATOR = "administrators of the installation"
LIST = "everybody, each the own things"
REPLAY = "/v4/call-logs/{call_id}/replay"
STATISTICS = "usage-statistics?chunks=1&start_date=2026-01-01&end_date=2026-01-02"


def of_deployment(tail: str = "", body: dict[str, Any] | None = None) -> MakeTry:
    def made(place: Place) -> Try:
        model, deployment = place.deployment()
        return Try(f"/v4/models/{model}/deployments/{deployment}{tail}", body)

    return made


def by_id(tail: str) -> MakeTry:
    return lambda place: Try(f"/v4/model-deployments/{place.deployment()[1]}{tail}")


def of_group(tail: str = "", body: dict[str, Any] | None = None) -> MakeTry:
    return lambda place: Try(f"/v4/model-groups/{place.group()}{tail}", body)


def of_server(tail: str = "", body: dict[str, Any] | None = None) -> MakeTry:
    return lambda place: Try(f"/v4/serving/{place.server()}{tail}", body)


def swapped(tail: str) -> MakeTry:
    """A model server whose backend is another one now, or is to be."""

    def made(place: Place) -> Try:
        path = f"/v4/serving/{place.server()}"
        body = {"new_model_deployment_id": place.deployment()[1]}
        if tail == "/rollback":
            assert place.admin.put(f"{path}/backend", json=body).status_code == 200
        return Try(path + tail, body if tail == "/backend" else None)

    return made


def in_group(place: Place, method: str) -> Try:
    path = f"/v4/model-groups/{place.group()}/models/{place.model()}"
    if method == "DELETE":
        assert place.admin.post(path).status_code == 200
    return Try(path)


def with_alias(place: Place) -> Try:
    alias = unique()
    assert place.admin.patch(f"/v4/serving/{place.server()}", json={"alias": alias}).status_code == 200
    return Try(f"/v4/serving/a/{alias}")


def members(tail: bool = False, body: dict[str, Any] | None = None) -> MakeTry:
    def made(place: Place) -> Try:
        path = f"/v4/accounts/{place.account}/members"
        return Try(f"{path}/{place.service_account()}" if tail else path, body)

    return made


# method and path as in /openapi.json -> what it takes, and what to try
TABLE: dict[tuple[str, str], tuple[Right | str, MakeTry]] = {
    ("GET", "/user-info"): (WHO, lambda _: Try("/user-info")),
    ("GET", "/users/{user_id}"): (Right.READ, lambda p: Try(f"/users/{p.service_account()}")),
    ("PATCH", "/v4/users/{user_id}"): (
        ADMINISTRATOR,
        lambda p: Try(f"/v4/users/{p.service_account()}", {"is_deployment_admin": True}),
    ),
    ("POST", "/accounts"): (ADMINISTRATOR, lambda _: Try("/accounts", {"account_name": "mine"})),
    ("GET", "/v4/accounts"): (LIST, lambda _: Try("/v4/accounts")),
    ("GET", "/v4/accounts/{account_id}"): (Right.READ, lambda p: Try(f"/v4/accounts/{p.account}")),
    ("PATCH", "/v4/accounts/{account_id}"): (
        Right.AUDIT,
        lambda p: Try(f"/v4/accounts/{p.account}", {"name": unique()}),
    ),
    ("POST", "/v4/accounts/{account_id}/members"): (
        Right.ADMIN,
        lambda p: Try(f"/v4/accounts/{p.account}/members", {"email": f"{unique()}@example.com"}),
    ),
    ("GET", "/v4/accounts/{account_id}/members"): (Right.ADMIN, members()),
    ("GET", "/v4/accounts/{account_id}/members/{user_id}"): (Right.ADMIN, members(tail=True)),
    ("PATCH", "/v4/accounts/{account_id}/members/{user_id}"): (
        Right.ADMIN,
        members(tail=True, body={"role": "viewer"}),
    ),
    ("DELETE", "/v4/accounts/{account_id}/members/{user_id}"): (Right.ADMIN, members(tail=True)),
    ("POST", "/v4/service-accounts"): (
        Right.ADMIN,
        lambda p: Try("/v4/service-accounts", {"name": "x", "account_id": p.account}),
    ),
    ("GET", "/v4/service-accounts"): (Right.ADMIN, lambda p: Try(f"/v4/service-accounts?account_id={p.account}")),
    **{
        (method, "/v4/service-accounts/{service_account_id}"): (
            Right.ADMIN,
            lambda p, body=body: Try(f"/v4/service-accounts/{p.service_account()}", body),
        )
        for method, body in (("GET", None), ("PATCH", {"role": "viewer"}), ("DELETE", None))
    },
    ("POST", "/v4/api-keys"): (Right.ADMIN, lambda p: Try("/v4/api-keys", {"name": "x", "account_id": p.account})),
    ("GET", "/v4/api-keys"): (LIST, lambda _: Try("/v4/api-keys")),
    ("GET", "/v4/audit-log"): (Right.AUDIT, lambda p: Try(f"/v4/audit-log?account_id={p.account}")),
    ("POST", "/v4/model-templates"): (
        Right.WRITE,
        lambda p: Try("/v4/model-templates", {**fake_template(), "account_id": p.account}),
    ),
    ("GET", "/v4/model-templates"): (LIST, lambda _: Try("/v4/model-templates")),
    ("GET", "/v4/model-templates/{template_id}"): (Right.READ, lambda p: Try(f"/v4/model-templates/{p.template()}")),
    ("PATCH", "/v4/model-templates/{template_id}"): (
        Right.WRITE,
        lambda p: Try(f"/v4/model-templates/{p.template()}", {"name": unique()}),
    ),
    ("DELETE", "/v4/model-templates/{template_id}"): (
        Right.WRITE,
        lambda p: Try(f"/v4/model-templates/{p.template()}"),
    ),
    ("POST", "/v4/models"): (
        Right.WRITE,
        lambda p: Try(
            "/v4/models",
            {
                "name": unique(),
                "model_type": "EMBEDDING",
                "model_template_id": p.template(),
                "account_id": p.account,
            },
        ),
    ),
    ("GET", "/v4/models"): (LIST, lambda _: Try("/v4/models")),
    ("GET", "/v4/models/{model_id}"): (Right.READ, lambda p: Try(f"/v4/models/{p.model()}")),
    ("PATCH", "/v4/models/{model_id}"): (Right.WRITE, lambda p: Try(f"/v4/models/{p.model()}", {"description": "x"})),
    ("DELETE", "/v4/models/{model_id}"): (Right.WRITE, lambda p: Try(f"/v4/models/{p.model()}")),
    ("POST", "/v4/models/{model_id}/deployments"): (
        Right.WRITE,
        lambda p: Try(f"/v4/models/{p.model()}/deployments", {"name": "x"}),
    ),
    ("GET", "/v4/models/{model_id}/deployments"): (Right.READ, lambda p: Try(f"/v4/models/{p.model()}/deployments")),
    ("GET", "/v4/models/{model_id}/deployments/{deployment_id}"): (Right.READ, of_deployment()),
    ("PATCH", "/v4/models/{model_id}/deployments/{deployment_id}"): (Right.WRITE, of_deployment(body={"name": "y"})),
    ("DELETE", "/v4/models/{model_id}/deployments/{deployment_id}"): (Right.WRITE, of_deployment()),
    ("GET", "/v4/models/{model_id}/deployments/{deployment_id}/revisions"): (Right.READ, of_deployment("/revisions")),
    ("POST", "/v4/models/{model_id}/deployments/{deployment_id}/rollback"): (
        Right.WRITE,
        of_deployment("/rollback", {"revision": 1}),
    ),
    ("GET", "/v4/model-deployments"): (LIST, lambda _: Try("/v4/model-deployments")),
    ("GET", "/v4/model-deployments/{deployment_id}"): (Right.READ, by_id("")),
    ("GET", "/v4/model-deployments/{deployment_id}/logs"): (Right.READ, by_id("/logs")),
    ("GET", "/v4/model-deployments/{deployment_id}/events"): (Right.READ, by_id("/events")),
    ("GET", "/v4/model-deployments/{deployment_id}/usage-statistics"): (Right.READ, by_id(f"/{STATISTICS}")),
    ("POST", "/v4/model-groups"): (
        Right.WRITE,
        lambda p: Try("/v4/model-groups", {"name": unique(), "account_id": p.account}),
    ),
    ("GET", "/v4/model-groups"): (LIST, lambda _: Try("/v4/model-groups")),
    ("GET", "/v4/model-groups/{model_group_id}"): (Right.READ, of_group()),
    ("PATCH", "/v4/model-groups/{model_group_id}"): (Right.WRITE, of_group(body={"description": "x"})),
    ("DELETE", "/v4/model-groups/{model_group_id}"): (Right.WRITE, of_group()),
    ("GET", "/v4/model-groups/{model_group_id}/usage-statistics"): (Right.READ, of_group(f"/{STATISTICS}")),
    **{
        (method, "/v4/model-groups/{model_group_id}/models/{model_instance_id}"): (
            Right.WRITE,
            lambda p, method=method: in_group(p, method),
        )
        for method in ("POST", "DELETE")
    },
    ("POST", "/v4/serving"): (
        Right.WRITE,
        lambda p: Try("/v4/serving", {"name": unique(), "model_deployment_id": p.deployment()[1]}),
    ),
    ("GET", "/v4/serving"): (LIST, lambda _: Try("/v4/serving")),
    ("GET", "/v4/serving/a/{alias}"): (Right.READ, with_alias),
    ("GET", "/v4/serving/{model_server_id}"): (Right.READ, of_server()),
    ("PATCH", "/v4/serving/{model_server_id}"): (
        Right.WRITE,
        lambda p: Try(f"/v4/serving/{p.server()}", {"alias": unique()}),
    ),
    ("POST", "/v4/limits"): (Right.ADMIN, lambda p: Try("/v4/limits", {**a_limit(p), "account_id": p.account})),
    ("GET", "/v4/limits"): (LIST, lambda _: Try("/v4/limits")),
    ("GET", "/v4/limits/{limit_id}"): (Right.READ, lambda p: Try(f"/v4/limits/{p.limit()}")),
    ("PATCH", "/v4/limits/{limit_id}"): (
        Right.ADMIN,
        lambda p: Try(f"/v4/limits/{p.limit()}", {"calls_per_minute": 2}),
    ),
    ("DELETE", "/v4/limits/{limit_id}"): (Right.ADMIN, lambda p: Try(f"/v4/limits/{p.limit()}")),
    ("DELETE", "/v4/serving/{model_server_id}"): (Right.WRITE, of_server()),
    ("GET", "/v4/serving/{model_server_id}/deployment"): (Right.READ, of_server("/deployment")),
    ("PUT", "/v4/serving/{model_server_id}/backend"): (Right.WRITE, swapped("/backend")),
    ("POST", "/v4/serving/{model_server_id}/rollback"): (Right.WRITE, swapped("/rollback")),
    ("POST", "/v4/vendor-credentials"): (
        Right.ADMIN,
        lambda p: Try("/v4/vendor-credentials", {**vendor_access(), "account_id": p.account}),
    ),
    ("GET", "/v4/vendor-credentials"): (LIST, lambda _: Try("/v4/vendor-credentials")),
    ("GET", "/v4/vendor-credentials/{credential_id}"): (
        Right.READ,
        lambda p: Try(f"/v4/vendor-credentials/{p.credential()}"),
    ),
    ("DELETE", "/v4/vendor-credentials/{credential_id}"): (
        Right.ADMIN,
        lambda p: Try(f"/v4/vendor-credentials/{p.credential()}"),
    ),
    ("GET", "/v4/usage"): (LIST, lambda _: Try("/v4/usage?start_date=2026-01-01&end_date=2026-01-02")),
    ("GET", "/v4/call-logs"): (LIST, lambda _: Try("/v4/call-logs")),
    ("POST", "/v4/call-logs/{call_id}/replay"): (
        Right.AUDIT,
        lambda p: Try(f"/v4/call-logs/{p.call}/replay", {"deployment": p.deployment()[1]}),
    ),
    ("GET", "/v4/accounts/{account_id}/call-log-settings"): (
        Right.READ,
        lambda p: Try(f"/v4/accounts/{p.account}/call-log-settings"),
    ),
    ("PUT", "/v4/accounts/{account_id}/call-log-settings"): (
        Right.AUDIT,
        lambda p: Try(f"/v4/accounts/{p.account}/call-log-settings", {"retention_days": uuid4().int % 3650 + 1}),
    ),
    ("GET", "/v4/call-logs/{call_id}"): (Right.READ, lambda p: Try(f"/v4/call-logs/{p.call}")),
    ("GET", "/v4/models/{model_name}/usage-statistics"): (
        Right.READ,
        lambda p: Try(f"/v4/models/{p.admin.get('/v4/models/' + p.model()).json()['name']}/{STATISTICS}"),
    ),
}

# Of somebody else's key nobody knows but those who administer its holder.
KEYS: dict[tuple[str, str], MakeTry] = {
    ("GET", "/v4/api-keys/{key_id}"): lambda p: Try(f"/v4/api-keys/{p.key()}"),
    ("PATCH", "/v4/api-keys/{key_id}"): lambda p: Try(f"/v4/api-keys/{p.key()}", {"name": "y"}),
    ("POST", "/v4/api-keys/{key_id}/rotate"): lambda p: Try(f"/v4/api-keys/{p.key()}/rotate", {}),
    ("DELETE", "/v4/api-keys/{key_id}"): lambda p: Try(f"/v4/api-keys/{p.key()}"),
}
HTTP = Path(modelyard.http.__file__).parent
PUBLIC = {"/healthz", "/readyz", "/metrics", "/docs/{asset}", "/auth/login", "/auth/callback", "/auth/logout"}


def expected(right: Right | str, role: Role | None) -> int:
    """What the table says that this role gets: 200, or 403 where it sees the account at all, else 404."""
    if right in (WHO, LIST):
        return 200
    if right == ADMINISTRATOR:
        return 403
    rights = frozenset() if role is None else RIGHTS[role]
    if right in rights:
        return 200
    return 403 if Right.READ in rights else 404


def attempt(place: Place, role: Role | None, method: str, to_try: Try) -> httpx.Response:
    headers = {"x-api-key": place.keys[role]}
    with httpx.Client(base_url=place.root.base_url, headers=headers, timeout=30) as caller:
        return caller.request(method, to_try.path, **({} if to_try.body is None else {"json": to_try.body}))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path"), list(TABLE), ids=lambda part: part)
def test_a_role_at_a_route(place: Place, role: Role | None, method: str, path: str) -> None:
    right, make = TABLE[method, path]
    answer = attempt(place, role, method, make(place))
    wanted = expected(right, role)
    if (method, path) == ("PATCH", "/v4/users/{user_id}") and not (role and Right.READ in RIGHTS[role]):
        wanted = 404
    if path == REPLAY and wanted == 200:
        wanted = 409  # what was kept there is no request
    if (method, path) == ("POST", "/v4/serving") and wanted == 404:
        wanted = 422  # what a body refers to is a field at fault
    if (method, path) == ("POST", "/v4/models/{model_id}/deployments/{deployment_id}/rollback") and wanted == 200:
        assert answer.status_code in (200, 409), answer.text
        return
    assert answer.status_code == wanted, answer.text


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path"), list(KEYS), ids=lambda part: part)
def test_a_role_at_somebody_else_s_key(place: Place, role: Role | None, method: str, path: str) -> None:
    answer = attempt(place, role, method, KEYS[method, path](place))
    allowed = role is not None and Right.ADMIN in RIGHTS[role]
    assert answer.status_code == (200 if allowed else 404), answer.text


def test_a_call_s_content_is_for_who_governs_its_account_and_who_made_it(place: Place, server: Running) -> None:
    viewer = attempt(place, Role.VIEWER, "GET", Try("/user-info")).json()["id"]
    made_by_viewer = server.run(_called(server, place.account, identity_id=viewer))
    for role in [role for role in Role if Right.READ in RIGHTS[role]]:
        for call, own in ((place.call, False), (made_by_viewer, role is Role.VIEWER)):
            content = attempt(place, role, "GET", Try(f"/v4/call-logs/{call}")).json()["content"]
            assert (content is not None) is (own or Right.AUDIT in RIGHTS[role]), role


def test_no_call_is_asked_again_of_another_account_s_deployment(place: Place, server: Running) -> None:
    elsewhere = place.root.post("/accounts", json={"account_name": unique()}).json()["account_id"]
    theirs = replace(place, account=elsewhere, admin=place.root).deployment()[1]
    for deployment in (theirs, str(uuid4())):
        answer = place.admin.post(f"/v4/call-logs/{place.call}/replay", json={"deployment": deployment})
        assert (answer.status_code, answer.json()["code"]) == (404, "deployment_not_found")


@pytest.mark.parametrize("role", ROLES)
def test_lists_hold_what_the_role_sees(place: Place, role: Role | None) -> None:
    model, deployment = place.deployment()
    sees = role is not None and Right.READ in RIGHTS[role]
    for path, id_ in (("/v4/models", model), ("/v4/model-deployments", deployment), ("/v4/accounts", place.account)):
        found = {item["id"] for item in attempt(place, role, "GET", Try(path)).json()["items"]}
        assert (id_ in found) is sees
    key = place.key()
    keys = {item["id"] for item in attempt(place, role, "GET", Try("/v4/api-keys")).json()["items"]}
    assert (key in keys) is (role is not None and Right.ADMIN in RIGHTS[role])
    assert keys, "everybody sees the own keys"


def test_every_route_has_a_line(http: httpx.Client) -> None:
    routes = {
        (method.upper(), path)
        for path, operations in http.get("/openapi.json").json()["paths"].items()
        for method in operations
        if path not in PUBLIC
    }
    # The same routes stand under /v4 once more.
    twins = {("GET", "/v4/user-info"), ("GET", "/v4/users/{user_id}"), ("POST", "/v4/accounts")}
    assert routes - twins == {*TABLE, *KEYS}


def test_no_route_hides_from_the_table() -> None:
    """What /openapi.json does not name has no line: those are public, and few."""
    hidden = {(file.name, file.read_text().count("include_in_schema")) for file in HTTP.rglob("*.py")}
    assert {each for each in hidden if each[1]} == {("system.py", 3)}


def test_what_is_invisible_looks_like_what_is_not_there(place: Place) -> None:
    for (method, path), make in {**{route: made for route, (_, made) in TABLE.items()}, **KEYS}.items():
        theirs = make(place)
        answer = attempt(place, None, method, theirs)
        if answer.status_code != 404:
            continue
        ids = [part for part in theirs.path.split("?")[0].split("/") if len(part) == 36 and part != place.account]
        if not ids:
            continue
        unknown = Try(theirs.path.replace(ids[-1], "0" * 36), theirs.body)
        other = attempt(place, None, method, unknown)
        bodies = [
            {
                **each.json(),
                "request_id": "",
                "detail": str(each.json()["detail"]).replace(ids[-1], "?").replace("0" * 36, "?"),
            }
            for each in (answer, other)
        ]
        assert (answer.status_code, bodies[0]) == (other.status_code, bodies[1]), (method, path)


GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "accounts.md"
TOLD_OF = set(re.findall(r"`(\w+)`", GUIDE.read_text().split("`entity_type` (")[1].split(")")[0]))
"""The kinds of entities that the guide names."""

# A replay is a call: it stands in the call log.
CHANGES = [route for route in (*TABLE, *KEYS) if route[0] != "GET" and route[1] != REPLAY]


@pytest.mark.parametrize(("method", "path"), CHANGES, ids=lambda part: part)
def test_every_change_leaves_an_entry_in_the_audit_log(place: Place, method: str, path: str) -> None:
    make = KEYS[method, path] if (method, path) in KEYS else TABLE[method, path][1]
    to_try, request_id = make(place), unique()
    headers = {"x-request-id": request_id}
    body = {} if to_try.body is None else {"json": to_try.body}
    answer = place.root.request(method, to_try.path, headers=headers, **body)
    told = place.root.get("/v4/audit-log", params={"request_id": request_id}).json()["items"]
    if path.endswith("/rollback") and "deployments" in path:
        # Going back to where it is changes nothing, and says so by leaving no entry.
        assert (answer.status_code, told) == (200, [])
        return
    assert answer.status_code == 200, answer.text
    assert told
    assert {each["actor"]["identity_type"] for each in told} == {"user"}
    assert {each["entity_type"] for each in told} <= TOLD_OF
