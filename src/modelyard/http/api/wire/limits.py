"""Limits on the wire: ours."""

from decimal import Decimal
from typing import Annotated

from pydantic import MISSING, Field, Strict

from modelyard.domain.limits import MAX_PRIORITY, OnExceeded, Subject
from modelyard.http.api.wire.common import MAX_INT, Body, Choice, Id, Name, Owned

Bound = Annotated[int, Field(ge=0, le=MAX_INT)]
Dollars = Annotated[Decimal, Strict(False), Field(ge=0, max_digits=18, decimal_places=9, examples=["12.50"])]
Priority = Annotated[int, Field(ge=0, le=MAX_PRIORITY)]


class Bounds(Body):
    calls_per_minute: Bound | None = None
    """In each minute of the clock, in UTC."""
    tokens_per_minute: Bound | None = None
    """Of prompts and answers together."""
    concurrent_calls: Bound | None = None
    dollars_per_day: Dollars | None = None
    """For vendors' tokens, in each day in UTC."""
    dollars_per_month: Dollars | None = None


class LimitCreate(Bounds):
    """At least one bound."""

    account_id: Id | None = None
    """Whose calls are limited: those that this account pays for."""
    name: Name
    subject: Choice[Subject]
    subject_id: Id
    """The id of the key, identity, account or model."""
    on_exceeded: Choice[OnExceeded] = OnExceeded.REJECT
    """``queue``: calls wait for the next minute, or for others to end, as long as they may wait for a worker."""
    priority: Priority = 0
    """Among waiting calls those with the highest go first."""


class LimitChange(Bounds):
    """Only what is sent changes; null takes a bound away."""

    name: Name | MISSING = MISSING
    subject: Choice[Subject] | MISSING = MISSING
    subject_id: Id | MISSING = MISSING
    on_exceeded: Choice[OnExceeded] | MISSING = MISSING
    priority: Priority | MISSING = MISSING


class LimitAnswer(Owned):
    name: str
    subject: Subject
    subject_id: str
    calls_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_calls: int | None
    dollars_per_day: str | None
    dollars_per_month: str | None
    on_exceeded: OnExceeded
    priority: int
