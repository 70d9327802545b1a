"""What vendors' tokens cost. Money is decimal or whole billionths of a dollar, never a float."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from modelyard.domain.usage import UsageRecord

NANO = 1_000_000_000
"""Billionths of a dollar in a dollar."""

_MILLION = Decimal(1_000_000)
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens, from a moment on."""

    prompt: Decimal
    response: Decimal
    cached: Decimal | None = None
    """Of prompt tokens read from a cache; None: as others."""
    reasoning: Decimal | None = None
    """Of response tokens spent on reasoning; None: as others."""
    effective_from: datetime = ALWAYS


def price_at(prices: Sequence[Price], moment: datetime) -> Price | None:
    """The one that was in force at ``moment``, whatever their order."""
    begun = [price for price in prices if price.effective_from <= moment]
    return max(begun, key=lambda price: price.effective_from, default=None)


def cost_of(record: UsageRecord, price: Price) -> int:
    """Billionths of a dollar for one call, rounded to the nearest. Cached and reasoning tokens are part of the prompt's
    and the response's, and priced apart where there is such a price."""
    cached = min(record.cached_tokens, record.prompt_tokens)
    reasoning = min(record.reasoning_tokens, record.response_tokens)
    dollars = (
        (record.prompt_tokens - cached) * price.prompt
        + cached * (price.prompt if price.cached is None else price.cached)
        + (record.response_tokens - reasoning) * price.response
        + reasoning * (price.response if price.reasoning is None else price.reasoning)
    ) / _MILLION
    return int((dollars * NANO).to_integral_value(ROUND_HALF_EVEN))


def dollars(nano: int) -> Decimal:
    """Exactly, in dollars, without needless zeros."""
    text = format((Decimal(nano) / NANO).normalize(), "f")
    return Decimal(text)
