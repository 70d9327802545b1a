"""Whose key is it: the headers that carry a key and a selected account."""

from collections.abc import Mapping

from modelyard.domain.accounts import Caller
from modelyard.errors import NotFound, Unauthenticated

KEY_HEADER = "x-api-key"
ACCOUNT_HEADER = "x-selected-account-id"

_NO_KEY = "No API key was given."
_HOW = f"Send it in the header {KEY_HEADER}, or as Authorization: Bearer <key>."


def key_from(headers: Mapping[str, str]) -> str:
    """The key in ``x-api-key``, else in ``Authorization: Bearer``; raises `Unauthenticated` where there is none.

    ``headers`` finds names in lower case (Starlette's `Headers` do).
    """
    if key := headers.get(KEY_HEADER, "").strip():
        return key
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and (token := token.strip()):
        return token
    raise Unauthenticated(_NO_KEY, hint=_HOW)


def selected_account(headers: Mapping[str, str], caller: Caller) -> str | None:
    """The account in ``x-selected-account-id``, None where the header is absent or empty.

    One that the caller is no part of raises `NotFound`, whether it exists or not.
    """
    account_id = headers.get(ACCOUNT_HEADER, "").strip()
    if not account_id:
        return None
    if account_id not in caller.roles:
        raise unknown_account(account_id)
    return account_id


def unknown_account(account_id: str) -> NotFound:
    return NotFound(
        f"There is no account '{account_id}' that this key belongs to.",
        code="account_not_found",
        hint=f"Leave out {ACCOUNT_HEADER} and account_id, or take an id from GET /user-info.",
    )
