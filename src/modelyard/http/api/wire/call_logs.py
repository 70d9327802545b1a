"""The call log on the wire; all of it is ours."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelyard.control.call_log.redaction import MAX_PATTERN_LENGTH, MAX_PATTERNS
from modelyard.domain.call_logs import Keeps
from modelyard.domain.usage import Outcome, Verb
from modelyard.http.api.wire.common import Answer, Body, Choice, Id, ListQuery

Moment = Annotated[str, StringConstraints(min_length=8, max_length=64), Field(examples=["2026-11-01T00:00:00Z"])]
Word = Annotated[str, StringConstraints(max_length=256)]


class CallQuery(ListQuery):
    sort_by: Annotated[list[Literal["created_at:desc", "created_at:asc"]], Field(max_length=1, default_factory=list)]  # type: ignore[assignment]
    """Newest first (``created_at:desc``) or oldest first."""
    key_id: Id | None = None
    identity_id: Id | None = None
    deployment_id: Id | None = None
    model_id: Id | None = None
    model_name: Word | None = None
    vendor: Word | None = None
    verb: Verb | None = None
    outcome: Outcome | None = None
    error_code: Word | None = None
    request_id: Word | None = None
    """What the answer carried in ``x-request-id``."""
    start_date: Moment | None = None
    """ISO 8601; without a time zone it is UTC. Calls that began at this moment are included."""
    end_date: Moment | None = None
    """Calls that began at this moment are not included."""


Days = Annotated[int, Field(ge=1, le=3650)]


class CallLogSettingsBody(Body):
    bodies: Choice[Keeps] = Keeps.NONE
    """Of which calls the content is kept: ``none``, ``errors`` or ``all``."""
    retention_days: Days = 30
    """For how long."""
    redact: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_PATTERN_LENGTH)]],
        Field(max_length=MAX_PATTERNS, default_factory=list),
    ]
    """Regular expressions (RE2); what they match is replaced before anything is stored."""
    max_body_bytes: Annotated[int, Field(ge=1, le=1024 * 1024)] = 65_536
    """Longer bodies are cut there, and say so."""


class CallLogSettingsAnswer(Answer):
    account_id: str
    bodies: Keeps
    retention_days: int
    redact: list[str]
    max_body_bytes: int


class Content(Answer):
    """What was kept of a call, redacted."""

    path: str
    """Where the call went."""
    request: str
    request_truncated: bool
    answer: str
    """A stream is shown as the one answer that it adds up to."""
    answer_truncated: bool


class ReplayBody(Body):
    deployment: Id
    """The id of the deployment to ask."""


class Replayed(Answer):
    """What another deployment answered."""

    status: int
    request_id: str
    answer: str


class CallAnswer(Answer):
    id: str
    """Sorts by time."""
    created_at: datetime
    """When the call began."""
    request_id: str
    account_id: str
    """Who paid."""
    key_id: str
    identity_id: str
    deployment_id: str
    """What was called."""
    served_by: str
    """The deployment that answered: another one where that was a fallback."""
    model_id: str
    model_name: str
    vendor: str | None
    verb: Verb
    outcome: Outcome
    error_code: str | None
    prompt_tokens: int
    response_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    estimated: bool
    """Whether the tokens were estimated, because nobody told them."""
    first_byte_seconds: float | None
    total_seconds: float
    cost: str | None
    """US dollars; null where no vendor answered, or nobody knows the price."""
    unpriced: bool
    """Whether it cost something, and nobody knows what."""


class CallDetail(CallAnswer):
    content: Content | None
    """null where it was not kept, has ended, or is not yours to read."""


class ReplayAnswer(Answer):
    """Both answers, side by side."""

    logged: CallDetail
    replayed: Replayed
