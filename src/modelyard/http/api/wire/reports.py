"""``GET /v4/usage``: usage in any cut."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from modelyard.control.usage.reports import MAX_ROWS
from modelyard.described import Described
from modelyard.http.api.wire.common import Answer
from modelyard.http.api.wire.usage import Moment

Dimension = Literal[
    "account_id",
    "key_id",
    "identity_id",
    "deployment_id",
    "model_id",
    "model_name",
    "vendor",
    "verb",
    "outcome",
]


class ReportQuery(Described):
    model_config = ConfigDict(extra="forbid", frozen=True)

    start_date: Moment
    """ISO 8601; without an offset it is in `timezone`. Rounded down to a whole hour."""
    end_date: Moment
    """Rounded up to a whole hour."""
    group_by: Annotated[list[Dimension], Field(default_factory=list)]
    """Told apart by these; repeat the parameter for several."""
    interval: Literal["hour", "day", "week", "month"] | None = None
    """Told apart by time; weeks begin on Mondays."""
    timezone: Annotated[str, StringConstraints(max_length=64), Field(examples=["Europe/Berlin"])] = "UTC"
    """Whose days, weeks and months, by its name in the IANA time zone database."""
    account_id: str | None = None
    key_id: str | None = None
    identity_id: str | None = None
    deployment_id: str | None = None
    model_id: str | None = None
    model_name: str | None = None
    vendor: str | None = None
    """Empty: calls that workers of our own answered."""
    verb: str | None = None
    outcome: str | None = None
    format: Literal["json", "csv"] = "json"
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] | None = None
    """The most lines: the earliest, and at one time the most called. 1000 where it is not given; as CSV 10,000."""

    @property
    def most(self) -> int:
        """The limit that was given, or the one that holds where none was."""
        return self.limit or (MAX_ROWS if self.format == "csv" else 1000)


class UsageLine(Answer):
    date: datetime | None = None
    """When its slice of time begins, where an interval was asked for."""
    account_id: str | None = None
    key_id: str | None = None
    identity_id: str | None = None
    deployment_id: str | None = None
    model_id: str | None = None
    model_name: str | None = None
    vendor: str | None = None
    verb: str | None = None
    outcome: str | None = None
    calls: int
    errors: int
    prompt_tokens: int
    response_tokens: int
    cached_tokens: int
    """Of the prompt's."""
    reasoning_tokens: int
    """Of the response's."""
    estimated_calls: int
    """Whose tokens the upstream did not tell, so that they were estimated."""
    cost: str | None
    """US dollars as a decimal, of the calls whose price is known; null where only unpriced calls cost anything."""
    unpriced_calls: int
    """Calls that cost something unknown; they are in no sum of money."""
    seconds_p50: float | None
    """Half of the calls were whole within this time."""
    seconds_p95: float | None
    seconds_p99: float | None


class WorkerLine(Answer):
    account_id: str
    deployment_id: str
    model_id: str
    gpus: int
    """Of each worker."""
    seconds: float
    """Of all its workers together."""
    cost: str | None
    """US dollars; null where no rate is set (`cost.worker_hour`, `cost.gpu_hour`)."""


class UsageReport(Answer):
    start_date: datetime
    end_date: datetime
    data: list[UsageLine]
    truncated: bool
    """Whether there were more lines than the limit."""
    total: UsageLine
    workers: list[WorkerLine]
    """What time workers of your accounts took; it is paid for, called or not. Of one key, identity, verb, outcome or
    vendor there is none. Those of built-in models are told to administrators of the installation."""
