"""What one call may see and touch: the caller, narrowed to the account it selected."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Caller, Right, roles_with
from modelyard.domain.revisions import Author
from modelyard.domain.rights import scopes_with
from modelyard.errors import Forbidden, MalformedRequest, NotFound


@dataclass(frozen=True, slots=True)
class Scope:
    """A caller and the account it selected for this call, one of its own; None spans all of them."""

    caller: Caller
    selected: str | None = None

    @property
    def own_accounts(self) -> tuple[str, ...]:
        """The accounts in which the caller may read, the platform's left out."""
        wanted = (self.selected,) if self.selected is not None else tuple(self.caller.roles)
        return tuple(account for account in wanted if self.caller.sees(account))

    @property
    def readable(self) -> tuple[str, ...]:
        """The accounts whose entities this call sees, the platform's own last."""
        own = [account for account in self.own_accounts if account != PLATFORM_ACCOUNT_ID]
        return (*own, PLATFORM_ACCOUNT_ID) if self.caller.sees(PLATFORM_ACCOUNT_ID) else tuple(own)

    def narrowed(self, account_id: str | None) -> tuple[str, ...]:
        """The readable accounts, or the one of them that a list asks for; nothing where it is none of them."""
        if account_id is None:
            return self.readable
        return tuple(account for account in self.readable if account == account_id)

    def account_to_write(self, wanted: str | None) -> str:
        """The account a new entity goes to: the one in the body, else the selected, else the only one."""
        account_id = wanted or self.selected or self._only_account()
        if account_id not in self.caller.roles:
            raise unknown_account(account_id)
        self.require(Right.WRITE, account_id)
        return account_id

    def _only_account(self) -> str:
        require_scope(self.caller, Right.WRITE)
        accounts = [account for account in self.caller.roles if self.caller.can(Right.WRITE, account)]
        if len(accounts) == 1:
            return accounts[0]
        if not self.caller.roles:
            raise Forbidden("This key belongs to no account.", code="no_account")
        if not accounts:
            raise Forbidden("This key's role lets it make nothing in any account.", code="role_too_low")
        raise MalformedRequest(
            "This key belongs to several accounts, and the call does not say which one it means.",
            code="account_missing",
            hint="Send account_id in the body, or the header x-selected-account-id.",
        )

    def signature(self, account_id: str, now: datetime) -> dict[str, Any]:
        """What every entity says of where it belongs and who made it."""
        return {
            "account_id": account_id,
            "created_at": now,
            "created_by_user_id": self.caller.identity_id,
            "created_by_identity_type": self.caller.identity_type,
        }

    @property
    def author(self) -> Author:
        """Whoever makes this call."""
        return Author(self.caller.identity_id, self.caller.identity_type)

    def require(self, right: Right, account_id: str) -> None:
        """Raise `Forbidden` unless the caller has ``right`` there. The account's things must be visible already:
        what the caller may not even see is `NotFound`, and never comes here."""
        require_scope(self.caller, right)
        if not self.caller.can(right, account_id):
            role = self.caller.roles.get(account_id)
            raise Forbidden(
                f"This needs the right to {_WORDS[right]}, which the role '{role or 'none'}' does not have.",
                code="role_too_low",
                hint=f"Use a key with one of the roles {', '.join(roles_with(right))} in account {account_id}.",
            )


def require_scope(caller: Caller, right: Right) -> None:
    """Raise `Forbidden` where the key's own scopes do not let ``right`` through."""
    if not caller.lets_through(right):
        scopes = ", ".join(caller.scopes or ()) or "none"
        raise Forbidden(
            f"This needs a key that may {_WORDS[right]}; this key's scopes are: {scopes}.",
            code="scope_missing",
            hint=f"Use a key without scopes, or with one of these: {', '.join(scopes_with(right))}.",
        )


def unknown_account(account_id: str) -> NotFound:
    """The same words whether the account exists or not."""
    return NotFound(
        f"There is no account '{account_id}' that this key belongs to.",
        code="account_not_found",
        hint="GET /user-info lists this key's accounts.",
    )


_WORDS = {
    Right.READ: "read",
    Right.CALL: "call models",
    Right.WRITE: "make and change templates, models and deployments",
    Right.ADMIN: "manage members, service accounts and keys",
    Right.AUDIT: "govern the account",
}


def refuse_built_in(account_id: str, noun: str) -> None:
    """Raise `Forbidden` where an entity of the platform's own is about to change."""
    if account_id == PLATFORM_ACCOUNT_ID:
        raise Forbidden(
            f"This {noun} is built in, and built-in {noun}s do not change.",
            code="built_in",
            hint=f"Make a {noun} of your own from the same values instead.",
        )
