"""The audit log: who changed what, told by the rows that changed, without secrets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelyard.domain.revisions import MASK, is_secret_name
from modelyard.domain.secrets import without_keys

Facts = Mapping[str, Any]

_SEALED = re.compile(r"gAAAA[A-Za-z0-9_-]{20,}={0,2}")
_SECRET_MAPPINGS = frozenset({"secret_env"})


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever makes one call of the control API."""

    identity_id: str
    identity_type: str
    key_id: str
    request_id: str


SYSTEM = Actor("system", "system", "", "")
"""The server itself, where it does what a person could have done."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that one call did to one entity."""

    id: int
    at: datetime
    actor: Actor
    account_id: str | None
    """The account whose administrators see it; None: those of the installation alone."""
    action: str
    """What was done, as in created, changed, deleted, revoked, rotated."""
    entity_type: str
    entity_id: str
    before: Facts | None
    """The fields that changed, as they were; None where the entity is new."""
    after: Facts | None
    """The same fields, as they are now; None where the entity is gone."""


def changed_facts(before: Facts | None, after: Facts | None) -> tuple[Facts | None, Facts | None] | None:
    """Both sides cut down to the fields that differ, masked; None where nothing does. What is new or gone is whole."""
    if before is None or after is None:
        return _masked(before), _masked(after)
    differing = [name for name in after if before.get(name) != after[name]]
    if not differing:
        return None
    old, new = ({name: facts.get(name) for name in differing} for facts in (before, after))
    return _masked(old), _masked(new)


def _masked(facts: Facts | None) -> Facts | None:
    return None if facts is None else {name: masked(value, name) for name, value in facts.items()}


def masked(value: Any, name: str = "") -> Any:
    """``value`` with all in it that is secret by its name, or sealed, replaced; keys of ours are cut down."""
    if isinstance(value, Mapping):
        hidden = name in _SECRET_MAPPINGS
        return {key: MASK if hidden else masked(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each, name) for each in value]
    if value is not None and (is_secret_name(name) or (isinstance(value, str) and _SEALED.search(value))):
        return MASK
    return without_keys(value) if isinstance(value, str) else value
