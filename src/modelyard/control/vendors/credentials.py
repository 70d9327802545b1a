"""Accounts' own access to vendors: stored encrypted, shown masked, never given back."""

import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit
from uuid import uuid4

import structlog

from modelyard.clock import Clock
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.scope import Scope
from modelyard.control.vault import Sealed, Vault
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Right
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VENDORS, VendorCredential, check_access, masked
from modelyard.errors import Conflict, FieldError, InvalidRequest, NotFound
from modelyard.store import Page, Store, Transaction
from modelyard.store.paging import PageQuery

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CredentialDraft:
    vendor: ModelVendor
    secrets: Mapping[str, str] = field(repr=False)
    name: str | None = None
    base_url: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


class VendorCredentials:
    """What the API does to them. Those who administer an account manage its credentials; who may read in it sees
    which there are."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        vault: Vault,
        changed: Callable[[Transaction], Awaitable[None]],
        refresh: Callable[[], Awaitable[None]],
    ) -> None:
        """``changed``: called in the transaction in which one comes or goes; ``refresh``: after it."""
        self._refresh = refresh
        self._store = store
        self._clock = clock
        self._vault = vault
        self._changed = changed

    async def create(
        self, scope: Scope, account_id: str | None, draft: CredentialDraft, attempt: Attempt
    ) -> VendorCredential:
        account = scope.account_to_write(account_id)
        scope.require(Right.ADMIN, account)
        if errors := list(_check(draft)):
            raise InvalidRequest(errors, code="invalid_vendor_credential")
        now = self._clock.now()
        credential = VendorCredential(
            id=str(uuid4()),
            **scope.signature(account, now),
            name=draft.name or draft.vendor.value.lower(),
            vendor=draft.vendor,
            sealed=self._vault.seal(json.dumps(dict(draft.secrets), sort_keys=True)),
            masked=masked(draft.secrets),
            base_url=draft.base_url.rstrip("/") if draft.base_url else None,
            parameters=dict(draft.parameters),
        )

        async def make(tx: Transaction) -> VendorCredential:
            await tx.vendor_credentials.add(credential)
            await self._changed(tx)
            return credential

        async def again(tx: Transaction, credential_id: str) -> VendorCredential:
            return await tx.vendor_credentials.get(credential_id, scope.readable)

        made = await create_once(self._store, attempt, now, make=make, again=again)
        await self._refresh()
        return made

    async def get(self, scope: Scope, credential_id: str) -> VendorCredential:
        async with self._store.read() as tx:
            return await _found(tx, scope, credential_id)

    async def page(self, query: PageQuery) -> Page[VendorCredential]:
        async with self._store.read() as tx:
            return await tx.vendor_credentials.page(query)

    async def delete(self, scope: Scope, credential_id: str) -> None:
        """Calls made with it go on; later ones know it no more."""
        async with self._store.begin() as tx:
            credential = await _found(tx, scope, credential_id)
            scope.require(Right.ADMIN, credential.account_id)
            await tx.vendor_credentials.delete(credential.id)
            await self._changed(tx)
        await self._refresh()


async def renew_secrets(store: Store, vault: Vault) -> int:
    """Seal with the vault's first key what an earlier one sealed; how many secrets that was. After that, the earlier
    key is needed no more. What no key opens is left as it is."""
    async with store.read() as tx:
        old = [each for each in await tx.vendor_credentials.all() if not vault.is_renewed(each.sealed)]
    renewed = 0
    for credential in old:
        try:
            sealed = vault.renewed(credential.sealed)
        except Sealed as error:
            log.error("a vendor credential cannot be used", credential=credential.id, why=str(error))
            continue
        with contextlib.suppress(NotFound, Conflict):  # gone or renewed meanwhile
            async with store.begin() as tx:
                current = await tx.vendor_credentials.get(credential.id, None)
                await tx.vendor_credentials.replace(replace(current, sealed=sealed))
            renewed += 1
    if renewed:
        log.info("secrets were sealed with the new key", secrets=renewed)
    return renewed


def _check(draft: CredentialDraft) -> list[FieldError]:
    if draft.vendor not in VENDORS:
        return [FieldError(("body", "vendor"), f"{draft.vendor} is hosted here, and needs no credential")]
    errors = list(check_access(draft.vendor, draft.secrets, draft.parameters, draft.base_url))
    account_file = draft.secrets.get("service_account")
    if account_file is not None and not _is_service_account(account_file):
        msg = "must be the JSON of a service account's key file, with client_email and private_key"
        errors.append(FieldError(("body", "service_account"), msg))
    elif account_file is not None and not _is_googles(json.loads(account_file).get("token_uri")):
        msg = "token_uri must be Google's own, https://oauth2.googleapis.com/token"
        errors.append(FieldError(("body", "service_account", "token_uri"), msg))
    return errors


def _is_service_account(text: str) -> bool:
    try:
        parsed = json.loads(text)
    except ValueError:
        return False
    return isinstance(parsed, dict) and all(isinstance(parsed.get(n), str) for n in ("client_email", "private_key"))


def _is_googles(token_uri: object) -> bool:
    """The server signs in there itself, so it must not be an address of anybody's choice."""
    url = urlsplit(token_uri) if isinstance(token_uri, str) else None
    host = url.hostname or "" if url is not None else ""
    return url is not None and url.scheme == "https" and f".{host}".endswith(".googleapis.com")


async def _found(tx: Transaction, scope: Scope, credential_id: str) -> VendorCredential:
    accounts = tuple(account for account in scope.readable if account != PLATFORM_ACCOUNT_ID)
    try:
        return await tx.vendor_credentials.get(credential_id, accounts)
    except NotFound as error:
        msg = f"There is no vendor credential '{credential_id}'."
        raise NotFound(msg, code="vendor_credential_not_found") from error
