"""Signing people in: whom an OIDC provider vouches for is matched with a member, and gets a session, which is a key."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.people.api_keys import new_key
from modelyard.control.people.bootstrap import ACCOUNT_ID
from modelyard.control.people.oversight import put
from modelyard.control.scope import Scope
from modelyard.domain import emails
from modelyard.domain.accounts import ApiKey, Identity, IdentityType, KeyKind, Membership, MemberState, Role
from modelyard.domain.audit import SYSTEM, Actor
from modelyard.domain.sign_in import Person
from modelyard.errors import Conflict, Forbidden
from modelyard.settings import OidcSettings
from modelyard.store import Store, Transaction, acting

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Session:
    key: ApiKey
    secret: str


class SignIn:
    def __init__(self, store: Store, clock: Clock, settings: OidcSettings, forget: Callable[[str], None]) -> None:
        """``forget``: called with the id of an identity whose rights changed."""
        self._store = store
        self._clock = clock
        self._settings = settings
        self._forget = forget

    async def start(self, person: Person, request_id: str) -> Session:
        """A session for a person: known by the provider's subject, or by a verified e-mail address where the subject is
        new; invitations come into force. `Forbidden` for who is neither invited nor of a domain that may come in."""
        identity = await self._identity(person, replace(SYSTEM, request_id=request_id))
        if not identity.is_administrator and not any(_in_force(each) for each in identity.memberships):
            raise Forbidden(
                "You are a member of no account, or disabled in yours.",
                code="sign_in_refused",
                hint="Ask an administrator of the account.",
            )
        now = self._clock.now()
        ends = now + timedelta(hours=self._settings.session_hours)
        key, secret = new_key(identity.id, "session", now, expires_at=ends, kind=KeyKind.SESSION)
        with acting(Actor(identity.id, identity.type, key.id, request_id), self._clock.now):
            async with self._store.begin() as tx:
                await tx.accounts.add_key(key)
        return Session(key, secret)

    async def end(self, scope: Scope) -> None:
        """The session that makes this call; `Conflict` where it is none, but a key."""
        async with self._store.begin() as tx:
            key = await tx.accounts.key(scope.caller.key_id)
            if key.kind is not KeyKind.SESSION:
                raise Conflict(
                    "This call came with a key, and only sessions are signed out.",
                    code="no_session",
                    hint=f"DELETE /v4/api-keys/{key.id} ends the key.",
                )
            await tx.accounts.revoke_key(key.id, self._clock.now())
        self._forget(scope.caller.identity_id)

    async def _identity(self, person: Person, actor: Actor) -> Identity:
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                with acting(actor, self._clock.now):
                    async with self._store.begin() as tx:
                        identity = await self._active(tx, await self._known(tx, person))
                self._forget(identity.id)
                return identity
            except Conflict:
                # The same person came in twice at once; by now the other one is through.
                if last:
                    raise
        raise AssertionError

    async def _known(self, tx: Transaction, person: Person) -> Identity:
        identity_id = await tx.accounts.subject(person.issuer, person.subject)
        if identity_id is not None:
            return await tx.accounts.identity(identity_id)
        if person.email is None:
            raise Forbidden(
                "Your provider tells no verified e-mail address, by which you would be known.",
                code="email_not_verified",
                hint="Verify it there, or ask whoever runs the provider to send the claims email and email_verified.",
            )
        identity = await tx.accounts.identity_with_email(person.email)
        if identity is None or identity.type is not IdentityType.USER:
            identity = await self._newcomer(tx, person, person.email)
        elif await tx.accounts.subjects_of(identity.id, person.issuer):
            raise Forbidden(
                "Somebody else signs in with this e-mail address.",
                code="subject_changed",
                hint="An address that passed to another person: an administrator removes the former member first.",
            )
        await tx.accounts.add_subject(person.issuer, person.subject, identity.id, self._clock.now())
        return identity

    async def _newcomer(self, tx: Transaction, person: Person, email: str) -> Identity:
        domains = {domain.lower().removeprefix("@") for domain in self._settings.provision_domains}
        if emails.domain_of(email) not in domains:
            raise Forbidden(
                f"Nobody has invited {email}.",
                code="not_invited",
                hint="Ask an administrator of the account: POST /v4/accounts/{id}/members.",
            )
        now = self._clock.now()
        identity = Identity(str(uuid4()), IdentityType.USER, email, now, person.first_name, person.last_name)
        account = await tx.accounts.account(self._settings.provision_account_id or ACCOUNT_ID)
        role = Role(self._settings.provision_role)
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_membership(Membership(str(uuid4()), account, identity.id, identity.type, role))
        return await tx.accounts.identity(identity.id)

    async def _active(self, tx: Transaction, identity: Identity) -> Identity:
        for membership in identity.memberships:
            if membership.state is MemberState.INVITED:
                await put(tx, membership, replace(membership, state=MemberState.ACTIVE))
        return await tx.accounts.identity(identity.id)


def _in_force(membership: Membership) -> bool:
    return membership.effective not in (Role.DISABLED, Role.INVITED)


def session_end(session: Session) -> datetime:
    """When it ends by itself."""
    assert session.key.expires_at is not None
    return session.key.expires_at
