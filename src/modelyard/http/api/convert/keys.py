"""Keys, to and from the wire."""

from datetime import UTC, datetime
from typing import Any

from modelyard.control.people.api_keys import HeldKey, KeyDraft
from modelyard.domain.accounts import Role
from modelyard.domain.rights import KeyScope
from modelyard.errors import FieldError, InvalidRequest
from modelyard.http.api.wire import keys as wire

_OF_NEW_ONES = ("account_id", "role")


def draft(body: wire.KeyCreate) -> KeyDraft:
    """`InvalidRequest` where the body speaks of a new service account and of an identity that exists."""
    if body.identity_id is not None:
        both = [name for name in _OF_NEW_ONES if getattr(body, name) is not None]
        if both:
            msg = "is of new service accounts; leave it out, or leave identity_id out"
            raise InvalidRequest([FieldError(("body", name), msg) for name in both])
    return KeyDraft(
        name=body.name,
        account_id=body.account_id,
        role=Role(body.role or "member"),
        expires_at=_end(body.expires_at),
        identity_id=body.identity_id,
        scopes=_scopes(body.scopes),
        models=_models(body.models),
    )


def changes(body: wire.KeyChange) -> dict[str, Any]:
    """What was sent; null takes an end, scopes or models away, a name cannot be taken away."""
    sent = {name: getattr(body, name) for name in body.model_fields_set}
    if "name" in sent and sent["name"] is None:
        raise InvalidRequest.at("body", "name", msg="cannot be null")
    if "expires_at" in sent:
        sent["expires_at"] = _end(sent["expires_at"])
    if "scopes" in sent:
        sent["scopes"] = _scopes(sent["scopes"])
    if "models" in sent:
        sent["models"] = _models(sent["models"])
    return sent


def _end(given: datetime | None) -> datetime | None:
    try:
        return None if given is None else given.astimezone(UTC)
    except OverflowError as error:
        raise InvalidRequest.at("body", "expires_at", msg="is beyond the last moment that there is") from error


def _scopes(given: Any) -> tuple[KeyScope, ...] | None:
    return None if given is None else tuple(dict.fromkeys(KeyScope(scope) for scope in given))


def _models(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(dict.fromkeys(given))


def key(held: HeldKey) -> wire.KeyAnswer:
    return wire.KeyAnswer(**_key(held))


def created_key(held: HeldKey) -> wire.KeyCreated:
    """With the secret, which nobody can ask for again."""
    assert held.secret is not None
    return wire.KeyCreated(**_key(held), key=held.secret)


def _key(held: HeldKey) -> dict[str, Any]:
    names = ("id", "name", "prefix", "kind", "created_at", "expires_at", "last_used_at", "scopes", "models")
    return {
        **{name: getattr(held.key, name) for name in names},
        "identity_id": held.identity.id,
        "identity_type": held.identity.type,
        "memberships": [
            wire.KeyMembership(account_id=each.account.id, role=each.effective) for each in held.identity.memberships
        ],
    }
