"""What the HTTP side is made of: everything that `main` has composed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from starlette.routing import Route

from modelyard.clock import Clock
from modelyard.control.audit import AuditLog
from modelyard.control.call_log.call_logs import CallLogs
from modelyard.control.deployments import Deployments, Settling
from modelyard.control.groups import Groups
from modelyard.control.limits.limits import Limits
from modelyard.control.models import Models
from modelyard.control.people.accounts import Accounts
from modelyard.control.people.api_keys import ApiKeys
from modelyard.control.people.keys import Keys
from modelyard.control.people.members import Members
from modelyard.control.people.sign_in import SignIn
from modelyard.control.revisions import Revisions
from modelyard.control.servers import Servers
from modelyard.control.templates import Templates
from modelyard.control.usage.reports import Reports
from modelyard.control.usage.statistics import Statistics
from modelyard.control.vault import Vault
from modelyard.control.vendors.credentials import VendorCredentials
from modelyard.domain.cards import EngineCard
from modelyard.launchers.base import Launcher
from modelyard.settings import Settings
from modelyard.store import Store, Transaction

Check = Callable[[], Awaitable[str | None]]
"""Why the server is not ready to serve, or None."""


async def _nothing(_: Transaction) -> None:
    pass


async def _they_follow() -> None:
    """Whoever follows the store sees changes by itself, a little later."""


@dataclass(frozen=True)
class Parts:
    """Composed by `main`, taken apart by `modelyard.http.app.create_app`."""

    settings: Settings
    clock: Clock
    store: Store
    keys: Keys
    launcher: Launcher
    reconciler: Settling
    cards: Mapping[str, EngineCard]
    """Engine cards by engine."""
    vault: Vault
    """Where secrets are sealed before they are stored."""
    vendors_changed: Callable[[Transaction], Awaitable[None]] = _nothing
    """Called in the transaction in which an account's access to a vendor comes or goes."""
    hot_routes: Sequence[Route] = ()
    """The inference calls, which do not pass through the control API."""
    hot_openapi: Mapping[str, object] | None = None
    """Their part of /openapi.json: ``paths`` and ``components``."""
    on_routes: Callable[[], Awaitable[None]] = _they_follow
    """Awaited once what can be called was changed, so that calls after the answer see it."""
    checks: Sequence[Check] = ()
    """What /readyz asks, besides the database."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server begins to stop: calls that only wait then answer, and /readyz says so."""

    @cached_property
    def templates(self) -> Templates:
        return Templates(self.store, self.clock, self.settings, self.cards, self.reconciler.nudge, self.vault)

    @cached_property
    def models(self) -> Models:
        return Models(self.store, self.clock, self.cards, self.reconciler.nudge)

    @cached_property
    def groups(self) -> Groups:
        return Groups(self.store, self.clock, self.models)

    @cached_property
    def deployments(self) -> Deployments:
        return Deployments(
            self.store, self.clock, self.settings, self.cards, self.reconciler, self.launcher, self.vault
        )

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self.store, self.clock, self.settings, self.reconciler)

    @cached_property
    def servers(self) -> Servers:
        seconds = self.settings.gateway.cold_start_seconds
        return Servers(self.store, self.clock, self.reconciler.nudge, self.on_routes, seconds)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self.store, self.clock, self.keys.forget_identity, people_sign_in=self._people_sign_in)

    @cached_property
    def members(self) -> Members:
        return Members(self.store, self.clock, self.keys.forget_identity)

    @cached_property
    def audit_log(self) -> AuditLog:
        return AuditLog(self.store, self.clock, self.settings.audit.retention_days)

    @cached_property
    def api_keys(self) -> ApiKeys:
        return ApiKeys(self.store, self.clock, self.keys.forget_key, people_sign_in=self._people_sign_in)

    @property
    def _people_sign_in(self) -> bool:
        return self.settings.oidc.issuer is not None

    @cached_property
    def sign_in(self) -> SignIn:
        return SignIn(self.store, self.clock, self.settings.oidc, self.keys.forget_identity)

    @cached_property
    def vendor_credentials(self) -> VendorCredentials:
        return VendorCredentials(self.store, self.clock, self.vault, self.vendors_changed, self.on_routes)

    @cached_property
    def limits(self) -> Limits:
        return Limits(self.store, self.clock)

    @cached_property
    def call_logs(self) -> CallLogs:
        return CallLogs(self.store, self.clock)

    @cached_property
    def reports(self) -> Reports:
        return Reports(self.store, self.clock, self.settings.cost)

    @cached_property
    def statistics(self) -> Statistics:
        return Statistics(self.store)
