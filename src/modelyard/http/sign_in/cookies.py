"""The session's cookie: sealed, so that nobody can make one or read what is in it; and what it may be used for."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import cookie_parser
from starlette.responses import Response

from modelyard.control.people.sign_in import Session, session_end
from modelyard.control.vault import Sealed, Vault
from modelyard.errors import Forbidden

NAME = "modelyard_session"
CSRF_HEADER = "x-modelyard-csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def put(response: Response, session: Session, vault: Vault, *, secure: bool) -> None:
    """Lax: other sites' links may lead here signed in, their forms and scripts may not."""
    response.set_cookie(
        NAME,
        vault.seal(session.secret),
        expires=session_end(session),
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def take_away(response: Response, *, secure: bool) -> None:
    response.delete_cookie(NAME, path="/", secure=secure, httponly=True, samesite="lax")


def session_in(headers: Mapping[str, str], vault: Vault) -> str | None:
    """The session's secret in the request's cookies; None where there is none that we sealed."""
    text = headers.get("cookie")
    sealed = cookie_parser(text).get(NAME) if text and NAME in text else None
    if not sealed:
        return None
    try:
        return vault.unseal(sealed)
    except Sealed:
        return None


def refuse_cross_site(method: str, headers: Mapping[str, str], public_url: str | None) -> None:
    """Raise `Forbidden` where a browser may be sending this for another site. Browsers say where a request comes from
    (Sec-Fetch-Site, or at least Origin); what is no browser says so by a header that other sites cannot send."""
    if method in _SAFE:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        ours = site == "same-origin"
    elif origin is not None:
        ours = urlsplit(origin).netloc in _our_hosts(headers, public_url)
    else:
        ours = CSRF_HEADER in headers
    if not ours:
        raise Forbidden(
            "A session's cookie changes nothing when the request comes from another site.",
            code="cross_site",
            hint=f"Outside of a browser send the header {CSRF_HEADER}: 1, or use a key.",
        )


def _our_hosts(headers: Mapping[str, str], public_url: str | None) -> set[str]:
    hosts = {headers.get("host", "")} - {""}
    return hosts | {urlsplit(public_url).netloc} if public_url else hosts
