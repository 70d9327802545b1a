"""People and keys, to and from the wire."""

from typing import Any

from modelyard.control.api_keys import HeldKey, KeyDraft
from modelyard.domain.accounts import Identity, Membership, Role
from modelyard.http.api.wire import accounts as wire


def user(identity: Identity) -> wire.UserAnswer:
    return wire.UserAnswer(
        id=identity.id,
        email=identity.email,
        access_profiles=[_profile(membership) for membership in identity.memberships],
        first_name=identity.first_name,
        last_name=identity.last_name,
        is_deployment_admin=identity.is_administrator,
        is_organization_admin=identity.is_administrator,
    )


def _profile(membership: Membership) -> wire.AccessProfile:
    account = membership.account
    return wire.AccessProfile(
        id=membership.id,
        account=wire.AccountAnswer(id=account.id, name=account.name, status=account.status),
        identity=wire.IdentityAnswer(id=membership.identity_id, type=membership.identity_type),
        role=membership.role,
    )


def key_draft(body: wire.KeyCreate) -> KeyDraft:
    return KeyDraft(body.name, body.account_id, Role(body.role), body.expires_at)


def key(held: HeldKey) -> wire.KeyAnswer:
    return wire.KeyAnswer(**_key(held))


def created_key(held: HeldKey) -> wire.KeyCreated:
    """With the secret, which nobody can ask for again."""
    assert held.secret is not None
    return wire.KeyCreated(**_key(held), key=held.secret)


def _key(held: HeldKey) -> dict[str, Any]:
    return {
        "id": held.key.id,
        "name": held.key.name,
        "prefix": held.key.prefix,
        "identity_id": held.identity.id,
        "identity_type": held.identity.type,
        "memberships": [
            wire.KeyMembership(account_id=each.account.id, role=each.role) for each in held.identity.memberships
        ],
        "created_at": held.key.created_at,
        "expires_at": held.key.expires_at,
    }
