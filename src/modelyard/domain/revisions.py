"""The revisions that a deployment has had: what each was made of, who asked for it, and what it changed."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelyard.domain.accounts import IdentityType
from modelyard.domain.deployments import Deployment
from modelyard.domain.snapshots import Snapshot

MASK = "***"
_SECRET = re.compile(
    r"(?:^|_)(?:(?:api|access|private|secret)?key|token|secrets?|passwd|password|passphrase|credentials?|auth|authorization)"
    r"(?:$|_)",
    re.IGNORECASE,
)
_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|-")
"""Where a word ends in other spellings: apiKey, api-key."""
_NO_PART = frozenset({"own_parameters", "own_resources"})


@dataclass(frozen=True, slots=True)
class Author:
    """Who asked for something."""

    user_id: str
    identity_type: IdentityType


@dataclass(frozen=True, slots=True)
class Revision:
    """One entry of a deployment's history."""

    deployment_id: str
    number: int
    """Counts from 1. Going back makes a new entry, with an earlier one's fingerprint."""
    revision: str
    """The snapshot's fingerprint, as in ``status_detail.revision``."""
    created_at: datetime
    created_by: Author
    why: str
    snapshot: Snapshot
    ready_at: datetime | None = None
    """When a worker of it was ready for the first time."""


class RevisionState(StrEnum):
    SERVING = "serving"
    ROLLING_OUT = "rolling_out"
    FAILED = "failed"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Change:
    """One field in which two revisions differ; None: it was not there, or is not there any more."""

    field: str
    before: Any
    after: Any


def difference(before: Snapshot, after: Snapshot) -> list[Change]:
    """What changed, by field, as in ``bundle.env.NAME``. Values whose name sounds like a secret's are masked."""
    old, new = dict(_flat(_facts(before))), dict(_flat(_facts(after)))
    return [
        Change(name, _shown(name, old.get(name)), _shown(name, new.get(name)))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def state_of(entry: Revision, deployment: Deployment, numbers: Mapping[str, int]) -> RevisionState:
    """How ``entry`` stands; ``numbers`` has the last entry's number by fingerprint."""
    observed, target = deployment.observed, deployment.target
    if entry.number != numbers[entry.revision]:
        return RevisionState.SUPERSEDED
    if entry.revision == target.revision:
        if observed.failed_revision == entry.revision:
            return RevisionState.FAILED
        proven = deployment.is_built_in or observed.ready_revision == entry.revision
        return RevisionState.SERVING if proven else RevisionState.ROLLING_OUT
    return RevisionState.SERVING if entry.revision == observed.ready_revision else RevisionState.SUPERSEDED


def good_before(entries: Sequence[Revision], deployment: Deployment) -> Revision | None:
    """Where going back leads if nobody says where: the last entry before the target's that was ready once. ``entries``
    are newest first."""
    current = deployment.target.revision
    return next((entry for entry in entries if entry.revision != current and entry.ready_at is not None), None)


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    facts = {name: value for name, value in asdict(snapshot).items() if name not in _NO_PART}
    del facts["bundle"]["readiness_initial_delay_seconds"]
    return facts


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None and value != () and value != []:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value


def _shown(name: str, value: Any) -> Any:
    secret = is_secret_name(name) or ".secret_env." in name
    return MASK if value is not None and secret else value


def is_secret_name(name: str) -> bool:
    """Whether what goes by this name (the last part of a dotted one) is shown to nobody."""
    return _SECRET.search(_BORDER.sub("_", name.rpartition(".")[2])) is not None
