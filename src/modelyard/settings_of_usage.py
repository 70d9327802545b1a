"""Settings of what is used, what it costs and what limits it; a part of `modelyard.settings`."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from modelyard.settings_of_people import Group

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Money = Annotated[Decimal, Field(ge=0)]


class UsageSettings(Group):
    flush_seconds: Seconds = 0.5
    """How often usage records are written, in one batch, off the calls' path."""
    buffer_records: Count = 100_000
    """Records kept in memory while the database is away; the oldest are counted as lost beyond that."""
    journal: bool = True
    """Whether records are kept in files of the data directory until they are in the database, for the case that
    the server is killed."""
    keep_days: Annotated[int, Field(ge=1)] | None = None
    """Usage records, and so the call log, that are older than so many days are deleted; what they add up to stays.
    Not set: none ever is."""


class PriceSetting(Group):
    """US dollars per token. What is left out is not known, which is not nothing."""

    model: str
    """The model's name: the vendor's or ours."""
    since: date = date(1970, 1, 1)
    input: Money | None = None
    output: Money | None = None
    cached_input: Money | None = None
    reasoning: Money | None = None
    prompt_above: Annotated[int, Field(ge=0)] = 0


class LimitSettings(Group):
    assumed_response_tokens: Count = 4096
    """What an answer has at most where the call does not bound it and limits count tokens or money: so much is
    reserved until the call is over, and asked of the model as max_tokens."""
    when_database_is_away: Literal["allow", "refuse"] = "allow"
    """Whether calls with limits go on while limits cannot be checked; what they use is counted afterwards."""


class CostSettings(Group):
    prices: tuple[PriceSetting, ...] = ()
    """Prices that take the place of the catalog's from their day on, as `[{"model": "gpt-5", "since": "2026-01-01",
    "input": "0.000001", "output": "0.000008"}]`: US dollars per token."""
    worker_hour: Money | None = None
    """US dollars for an hour of one worker. Not set: what workers cost is not known, and shown so."""
    gpu_hour: Money | None = None
    """US dollars for an hour of each GPU that a worker reserves, besides `worker_hour`."""
