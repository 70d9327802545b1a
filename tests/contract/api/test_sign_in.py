"""Signing in by OpenID Connect, against a provider that runs beside the server. It is a fake one in so far as it asks
nobody for a password."""

import base64
import contextlib
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import oidc_provider_mock
import pytest
from api_server import KEY, Running, serving
from pydantic import SecretStr
from werkzeug.serving import make_server

from modelyard.settings import OidcSettings

SECRET = SecretStr("the provider's own word")


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread() as running:
        yield f"http://localhost:{running.server_port}"


@pytest.fixture(scope="module")
def house(provider: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    oidc = OidcSettings(issuer=provider, client_secret=SECRET, provision_domains=("Provisioned.example",))
    with serving(tmp_path_factory.mktemp("sign-in"), oidc=oidc) as running:
        yield running


@pytest.fixture
def admin(house: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=house.url, headers={"x-api-key": KEY}, timeout=30) as client:
        yield client


@pytest.fixture
def browser(house: Running) -> Iterator[httpx.Client]:
    """A client that keeps cookies, and says what browsers say of where a request comes from."""
    headers = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=house.url, headers=headers, timeout=30) as client:
        yield client


@pytest.fixture
def team(admin: httpx.Client) -> str:
    account: str = admin.post("/accounts", json={"account_name": "team"}).json()["account_id"]
    return account


def known_as(provider: str, email: str | None, *, verified: Any = True, subject: str | None = None) -> str:
    """The provider's word for somebody with this address."""
    subject = subject or uuid4().hex
    claims = {} if email is None else {"email": email, "email_verified": verified}
    answer = httpx.put(f"{provider}/users/{subject}", json={**claims, "given_name": "Ada", "family_name": "L"})
    assert answer.status_code == 204, answer.text
    return subject


def to_callback(browser: httpx.Client, subject: str, following: str = "/v4/models") -> str:
    """The address that the provider sends the browser back to."""
    login = browser.get("/auth/login", params={"next": following})
    assert login.status_code == 302, login.text
    back = httpx.post(login.headers["location"], data={"sub": subject})
    assert back.status_code == 302, back.text
    return str(back.headers["location"])


def sign_in(browser: httpx.Client, subject: str, following: str = "/v4/models") -> httpx.Response:
    return browser.get(to_callback(browser, subject, following))


def invite(admin: httpx.Client, team: str, email: str, role: str = "editor") -> str:
    answer = admin.post(f"/v4/accounts/{team}/members", json={"email": email, "role": role})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def address() -> str:
    return f"{uuid4().hex[:8]}@example.com"


def test_an_invited_person_comes_in(provider: str, admin: httpx.Client, browser: httpx.Client, team: str) -> None:
    email = address()
    identity = invite(admin, team, email)
    back = sign_in(browser, known_as(provider, email.upper()))
    assert (back.status_code, back.headers["location"]) == (303, "/v4/models")
    me = browser.get("/user-info").json()
    assert (me["id"], me["email"]) == (identity, email)
    assert [(each["account"]["id"], each["role"]) for each in me["access_profiles"]] == [(team, "editor")]
    assert admin.get(f"/v4/accounts/{team}/members/{identity}").json()["status"] == "active"
    trail = admin.get("/v4/audit-log", params={"account_id": team, "entity_id": identity, "action": "linked"})
    (linked,) = trail.json()["items"]
    assert (linked["actor"]["identity_type"], linked["entity_type"], linked["before"]) == ("system", "user", None)
    assert linked["after"] == {"id": identity, "issuer": provider, "subject": linked["after"]["subject"]}
    assert linked["after"]["subject"]


def test_the_way_there_uses_pkce_state_and_nonce(browser: httpx.Client, house: Running) -> None:
    query = parse_qs(urlsplit(browser.get("/auth/login").headers["location"]).query)
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert query["state"][0]
    assert query["nonce"][0]
    assert query["redirect_uri"] == [f"{house.url}/auth/callback"]


def test_the_cookie_is_sealed_and_kept_from_scripts(
    provider: str, admin: httpx.Client, browser: httpx.Client, team: str
) -> None:
    email = address()
    invite(admin, team, email)
    back = sign_in(browser, known_as(provider, email))
    cookie = next(each for each in back.headers.get_list("set-cookie") if each.startswith("modelyard_session="))
    attributes = {each.strip().lower() for each in cookie.split(";")[1:]}
    assert {"httponly", "samesite=lax", "path=/"} <= attributes
    assert "secure" not in attributes, "the server of this test speaks plain HTTP"
    value = browser.cookies["modelyard_session"]
    assert "my_" not in value
    middle = "A" if value[60] != "A" else "B"
    for wrong in (value[:60] + middle + value[61:], value[:-20], "", "x"):
        answer = httpx.get(f"{browser.base_url}/user-info", headers={"cookie": f"modelyard_session={wrong}"})
        assert answer.status_code == 401


def test_over_https_the_cookie_is_secure(provider: str, tmp_path: Any) -> None:
    oidc = OidcSettings(
        issuer=provider, client_secret=SECRET, public_url="https://models.example", provision_domains=("example.com",)
    )
    with serving(tmp_path, oidc=oidc) as running, httpx.Client(base_url=running.url) as browser:
        login = browser.get("/auth/login")
        assert "redirect_uri=https%3A%2F%2Fmodels.example%2Fauth%2Fcallback" in login.headers["location"]
        kept = login.headers["set-cookie"]
        assert "secure" in kept.lower()
        back = httpx.post(login.headers["location"], data={"sub": known_as(provider, address())})
        query = urlsplit(back.headers["location"]).query
        cookie = {"cookie": kept.split(";")[0]}
        done = httpx.get(f"{running.url}/auth/callback?{query}", headers=cookie)
        assert done.status_code == 303
        session = next(each for each in done.headers.get_list("set-cookie") if each.startswith("modelyard_session="))
        assert "secure" in {each.strip().lower() for each in session.split(";")[1:]}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site", "x-modelyard-csrf": "1"}, 403),
        ({"origin": "OURS"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"x-modelyard-csrf": "1"}, 200),
        ({}, 403),
    ],
)
def test_other_sites_change_nothing_with_the_cookie(
    provider: str, admin: httpx.Client, browser: httpx.Client, team: str, headers: dict[str, str], status: int
) -> None:
    email = address()
    invite(admin, team, email)
    sign_in(browser, known_as(provider, email))
    cookie = {"cookie": f"modelyard_session={browser.cookies['modelyard_session']}"}
    ours = {name: value.replace("OURS", str(browser.base_url)) for name, value in headers.items()}
    body = {"name": uuid4().hex, "model_type": "EMBEDDING", "endpoint_type": "SYNC"}
    bundle = {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "latest"}}
    url = f"{browser.base_url}/v4/model-templates"
    answer = httpx.post(url, json={**body, "vendor_configuration": bundle}, headers={**cookie, **ours})
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["code"] == "cross_site"
    assert httpx.get(url, headers={**cookie, **ours}).status_code == 200, "reading is no change"


def test_a_signed_in_person_makes_a_key_and_signs_out(
    provider: str, admin: httpx.Client, browser: httpx.Client, team: str
) -> None:
    email = address()
    identity = invite(admin, team, email, "viewer")
    sign_in(browser, known_as(provider, email))
    key = browser.post("/v4/api-keys", json={"name": "laptop", "identity_id": "me"}).json()
    assert key["identity_id"] == identity
    kinds = {each["kind"]: each for each in browser.get("/v4/api-keys").json()["items"]}
    assert set(kinds) == {"key", "session"}
    session = kinds["session"]
    begins, ends = (datetime.fromisoformat(session[name]) for name in ("created_at", "expires_at"))
    assert ends - begins == timedelta(hours=OidcSettings().session_hours)
    refused = browser.post(f"/v4/api-keys/{session['id']}/rotate", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "session_not_rotated")
    cookie = {"cookie": f"modelyard_session={browser.cookies['modelyard_session']}"}
    assert browser.post("/auth/logout").json() == {"count": 1, "success": True}
    assert "modelyard_session" not in browser.cookies
    assert httpx.get(f"{browser.base_url}/user-info", headers=cookie).status_code == 401, "elsewhere, too"
    with_key = httpx.get(f"{browser.base_url}/user-info", headers={"x-api-key": key["key"]})
    assert with_key.status_code == 200
    no_session = httpx.post(f"{browser.base_url}/auth/logout", headers={"x-api-key": key["key"]})
    assert (no_session.status_code, no_session.json()["code"]) == (409, "no_session")
    other = admin.post("/v4/api-keys", json={"name": "x", "identity_id": identity})
    assert (other.status_code, other.json()["code"]) == (403, "personal_key")


@pytest.mark.parametrize(
    ("email", "verified", "code"),
    [
        ("stranger@elsewhere.example", True, "not_invited"),
        ("eve@sub.provisioned.example", True, "not_invited"),
        ("eve@provisioned.example", False, "email_not_verified"),
        ("eve@provisioned.example", None, "email_not_verified"),
        (None, True, "email_not_verified"),
        ("not an address", True, "email_not_verified"),
    ],
)
def test_who_does_not_come_in(
    provider: str, browser: httpx.Client, email: str | None, verified: Any, code: str
) -> None:
    answer = sign_in(browser, known_as(provider, email, verified=verified))
    assert (answer.status_code, answer.json()["code"]) == (403, code), answer.text
    assert "modelyard_session" not in browser.cookies


def test_a_domain_may_come_in_without_invitation(provider: str, browser: httpx.Client, admin: httpx.Client) -> None:
    email = f"{uuid4().hex[:8]}@PROVISIONED.example"
    assert sign_in(browser, known_as(provider, email)).status_code == 303
    me = browser.get("/user-info").json()
    assert (me["email"], me["first_name"], me["last_name"]) == (email.lower(), "Ada", "L")
    [profile] = me["access_profiles"]
    assert (profile["role"], profile["account"]["name"]) == ("member", "default")
    told = admin.get("/v4/audit-log", params={"entity_id": me["id"], "entity_type": "user"}).json()["items"]
    actions = [(each["action"], each["actor"]["identity_type"]) for each in told]
    assert actions == [("linked", "system"), ("created", "system")]


def test_a_person_is_known_by_the_subject_once_seen(
    provider: str, browser: httpx.Client, admin: httpx.Client, team: str
) -> None:
    email = address()
    identity = invite(admin, team, email)
    subject = known_as(provider, email)
    sign_in(browser, subject)
    known_as(provider, address(), subject=subject)
    with httpx.Client(base_url=browser.base_url) as later:
        assert sign_in(later, subject).status_code == 303
        assert later.get("/user-info").json()["id"] == identity, "a new address is the same person"
    with httpx.Client(base_url=browser.base_url) as other:
        answer = sign_in(other, known_as(provider, email))
    assert (answer.status_code, answer.json()["code"]) == (403, "subject_changed")


def test_a_disabled_member_is_out(provider: str, browser: httpx.Client, admin: httpx.Client, team: str) -> None:
    email = address()
    identity = invite(admin, team, email)
    subject = known_as(provider, email)
    sign_in(browser, subject)
    admin.patch(f"/v4/accounts/{team}/members/{identity}", json={"status": "disabled"})
    assert browser.get(f"/v4/accounts/{team}").status_code == 404
    answer = sign_in(browser, subject)
    assert (answer.status_code, answer.json()["code"]) == (403, "sign_in_refused")


def test_an_answer_that_nobody_asked_for_is_refused(
    provider: str, browser: httpx.Client, admin: httpx.Client, team: str
) -> None:
    email = address()
    invite(admin, team, email)
    callback = to_callback(browser, known_as(provider, email))
    tries = [
        httpx.get(callback),  # in another browser
        browser.get("/auth/callback"),
        browser.get("/auth/callback", params={"code": "x", "state": "y"}),
        browser.get("/auth/callback", params={"error": "access_denied"}),
    ]
    for answer in tries:
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_failed")
    again = to_callback(browser, known_as(provider, email))
    assert browser.get(again).status_code in (303, 403)
    assert browser.get(again).json()["code"] == "sign_in_failed", "a second time"


@pytest.mark.parametrize(
    "following", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\r\nx: y"]
)
def test_afterwards_the_browser_stays_here(
    provider: str, browser: httpx.Client, admin: httpx.Client, team: str, following: str
) -> None:
    email = address()
    invite(admin, team, email)
    assert sign_in(browser, known_as(provider, email), following).headers["location"] == "/docs"


def test_a_provider_that_is_away_is_told(tmp_path: Any) -> None:
    oidc = OidcSettings(issuer="http://127.0.0.1:9")
    with serving(tmp_path, oidc=oidc) as running:
        answer = httpx.get(f"{running.url}/auth/login")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")


def test_without_a_provider_there_is_nothing(http: httpx.Client) -> None:
    assert http.get("/auth/login").status_code == 404


@contextlib.contextmanager
def changed_provider(change: Callable[[dict[str, Any]], None]) -> Iterator[str]:
    """The provider, with every request (a WSGI environment) passed through ``change`` first."""
    inner = oidc_provider_mock.app()

    def changed(environ: dict[str, Any], start_response: Any) -> Any:
        change(environ)
        return inner(environ, start_response)

    fake = make_server("localhost", 0, changed, threaded=True)
    threading.Thread(target=fake.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{fake.server_port}"
    finally:
        fake.shutdown()
        fake.server_close()


def test_the_code_is_worth_nothing_without_the_verifier(tmp_path: Any) -> None:
    asked: list[dict[str, list[str]]] = []

    def record(environ: dict[str, Any]) -> None:
        if environ["PATH_INFO"] == "/oauth2/token":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = io.BytesIO(body)
            asked.append(parse_qs(body.decode()))

    with changed_provider(record) as provider:
        oidc = OidcSettings(issuer=provider, client_secret=SECRET, provision_domains=("example.com",))
        with serving(tmp_path, oidc=oidc) as running, httpx.Client(base_url=running.url) as browser:
            login = browser.get("/auth/login")
            challenge = parse_qs(urlsplit(login.headers["location"]).query)["code_challenge"][0]
            back = httpx.post(login.headers["location"], data={"sub": known_as(provider, address())})
            assert browser.get(back.headers["location"]).status_code == 303
    [[verifier]] = [each["code_verifier"] for each in asked]
    digest = hashlib.sha256(verifier.encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge


def test_a_provider_that_says_it_is_another_is_not_used(tmp_path: Any) -> None:
    with changed_provider(lambda environ: environ.update(HTTP_HOST="evil.example")) as provider:
        oidc = OidcSettings(issuer=provider, client_secret=SECRET)
        with serving(tmp_path, oidc=oidc) as running:
            answer = httpx.get(f"{running.url}/auth/login")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
