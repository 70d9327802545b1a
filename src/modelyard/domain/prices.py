"""What vendors' tokens cost. Money is decimal or whole billionths of a dollar, never a float."""

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal

from modelyard.domain.usage import UsageRecord
from modelyard.domain.vendor_models import Price

NANO = 1_000_000_000
"""Billionths of a dollar in a dollar."""


def cost_of(record: UsageRecord, price: Price) -> int | None:
    """Billionths of a dollar for one call, rounded to the nearest; None where a price that it needs is not known.

    Cached and reasoning tokens are part of the prompt's and the response's, and priced apart where there is a price.
    """
    cached = min(record.cached_tokens, record.prompt_tokens)
    reasoning = min(record.reasoning_tokens, record.response_tokens)
    parts = (
        (record.prompt_tokens - cached, price.input),
        (cached, price.input if price.cached_input is None else price.cached_input),
        (record.response_tokens - reasoning, price.output),
        (reasoning, price.output if price.reasoning is None else price.reasoning),
    )
    whole = Decimal(0)
    for tokens, each in parts:
        if tokens and each is None:
            return None
        whole += tokens * (each or Decimal(0))
    return int((whole * NANO).to_integral_value(ROUND_HALF_EVEN))


def most(prompt_tokens: int, response_tokens: int, price: Price) -> int | None:
    """The most that a call may cost, in billionths of a dollar, rounded up; None where a price is not known."""
    if price.input is None or (response_tokens and price.output is None):
        return None
    response = max(price.output or Decimal(0), price.reasoning or Decimal(0))
    whole = (prompt_tokens * max(price.input, price.cached_input or Decimal(0)) + response_tokens * response) * NANO
    return int(whole.to_integral_value(ROUND_CEILING))


def dollars(nano: int) -> Decimal:
    """Exactly, in dollars."""
    return Decimal(nano) / NANO
