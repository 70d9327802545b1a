"""What a call costs: exact, by the price of its day, and unknown where a price is."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from modelyard import catalog
from modelyard.control.usage.pricing import Pricing
from modelyard.domain.models import ModelVendor
from modelyard.domain.prices import cost_of, dollars
from modelyard.domain.templates import ModelType
from modelyard.domain.vendor_models import Price, VendorModel
from modelyard.settings import CostSettings, PriceSetting
from modelyard.testing.clock import FakeClock
from modelyard.testing.usage import make_usage

RECORD = make_usage(
    started_at=datetime(2026, 6, 1, 23, 59, tzinfo=UTC),
    model_name="mine",
    prompt_tokens=1000,
    response_tokens=100,
    vendor="OPENAI",
    vendor_model="gpt-x",
)
LONG_AGO = date(2020, 1, 1)


def test_every_kind_of_token_has_its_price() -> None:
    price = Price(LONG_AGO, Decimal("0.000001"), Decimal("0.00001"), Decimal("0.0000001"), Decimal("0.00002"))
    record = replace(RECORD, cached_tokens=400, reasoning_tokens=30)
    # 600 at 1000, 400 at 100, 70 at 10000, 30 at 20000 billionths
    assert cost_of(record, price) == 600_000 + 40_000 + 700_000 + 600_000


def test_cached_and_reasoning_tokens_cost_as_the_others_where_no_price_is_told() -> None:
    price = Price(LONG_AGO, Decimal("0.000001"), Decimal("0.00001"))
    assert (
        cost_of(replace(RECORD, cached_tokens=400, reasoning_tokens=30), price) == cost_of(RECORD, price) == 2_000_000
    )


@pytest.mark.parametrize(("tokens", "nano"), [(1, 12), (3, 38), (10_000_000, 125_000_000)])
def test_money_is_rounded_once_and_to_even(tokens: int, nano: int) -> None:
    price = Price(LONG_AGO, Decimal("0.0000000125"), Decimal(0))
    assert cost_of(replace(RECORD, prompt_tokens=tokens), price) == nano


def test_a_price_that_is_needed_and_not_known_makes_no_cost() -> None:
    price = Price(LONG_AGO, Decimal("0.000001"), None)
    assert cost_of(RECORD, price) is None
    assert cost_of(replace(RECORD, response_tokens=0), price) == 1_000_000


def test_the_price_of_the_day_a_call_began_counts_and_settings_come_before_the_catalog() -> None:
    prices = (
        PriceSetting(model="gpt-x", since=date(2026, 6, 2), input=Decimal(2), output=Decimal(0)),
        PriceSetting(model="gpt-x", since=date(2026, 1, 1), input=Decimal(1), output=Decimal(0)),
    )
    pricing = Pricing((), CostSettings(prices=prices), FakeClock())
    assert pricing.priced(RECORD).cost_nano == 1000 * 10**9
    assert pricing.priced(replace(RECORD, started_at=datetime(2026, 6, 2, tzinfo=UTC))).cost_nano == 2000 * 10**9
    before = pricing.priced(replace(RECORD, started_at=datetime(2025, 12, 31, tzinfo=UTC)))
    assert (before.cost_nano, before.is_unpriced) == (None, True)


def test_days_of_prices_are_those_of_utc_wherever_a_moment_was_told() -> None:
    price = PriceSetting(model="gpt-x", since=date(2026, 6, 2), input=Decimal(2), output=Decimal(0))
    pricing = Pricing((), CostSettings(prices=(price,)), FakeClock())
    for hours in (14, -11, 0):
        there = RECORD.started_at.astimezone(timezone(timedelta(hours=hours)))
        assert pricing.priced(replace(RECORD, started_at=there)).cost_nano is None
        later = there + timedelta(minutes=1)
        assert pricing.priced(replace(RECORD, started_at=later)).cost_nano == 2000 * 10**9


@pytest.mark.parametrize(
    ("more", "nano"), [({"cached_tokens": 5000}, 1000 * 10 + 100 * 100), ({"reasoning_tokens": 500}, 1000 * 1000 + 100)]
)
def test_no_more_is_cached_or_thought_than_there_is(more: dict[str, int], nano: int) -> None:
    price = Price(LONG_AGO, Decimal("0.000001"), Decimal("0.0000001"), Decimal("0.00000001"), Decimal("0.000000001"))
    assert cost_of(replace(RECORD, **more), price) == nano  # type: ignore[arg-type]


def test_what_workers_of_our_own_answered_has_no_price_by_the_token() -> None:
    prices = (PriceSetting(model="mine", input=Decimal(1), output=Decimal(1)),)
    own = Pricing((), CostSettings(prices=prices), FakeClock()).priced(replace(RECORD, vendor=None))
    assert (own.cost_nano, own.is_unpriced) == (None, False)


def test_the_catalogs_prices_are_found_by_the_vendors_name_of_the_model() -> None:
    models = catalog.load().vendor_models
    known = next(model for model in models if model.prices and model.prices[0].input)
    day = datetime.combine(known.prices[0].since, datetime.min.time(), UTC)
    record = replace(RECORD, started_at=day, vendor=known.vendor.value, vendor_model=known.model, response_tokens=0)
    assert (Pricing(models, CostSettings(), FakeClock()).priced(record).cost_nano or 0) > 0
    other = replace(record, vendor="OTHER")
    assert Pricing(models, CostSettings(), FakeClock()).priced(other).is_unpriced


def test_a_price_of_the_settings_leaves_the_catalog_s_until_its_day_and_below_its_size() -> None:
    known = VendorModel(
        ModelVendor.OPENAI,
        name="x",
        model="gpt-x",
        model_type=ModelType.CHAT_COMPLETION,
        display_name="x",
        developer="x",
        prices=(Price(LONG_AGO, Decimal(3), Decimal(0)),),
    )
    later = PriceSetting(model="gpt-x", since=date(2026, 6, 2), input=Decimal(2), output=Decimal(0))
    long_ones = PriceSetting(model="mine", input=Decimal(5), output=Decimal(0), prompt_above=999)
    pricing = Pricing((known,), CostSettings(prices=(later,)), FakeClock(RECORD.started_at))
    assert pricing.priced(RECORD).cost_nano == 3000 * 10**9
    assert pricing.priced(replace(RECORD, started_at=datetime(2026, 6, 2, tzinfo=UTC))).cost_nano == 2000 * 10**9
    tiers = Pricing((known,), CostSettings(prices=(long_ones,)), FakeClock())
    assert tiers.priced(RECORD).cost_nano == 5000 * 10**9
    assert tiers.priced(replace(RECORD, prompt_tokens=999)).cost_nano == 2997 * 10**9


@pytest.mark.parametrize("price", ["-0.000001", "NaN", "Infinity"])
def test_no_price_is_less_than_nothing_or_no_number(price: str) -> None:
    with pytest.raises(ValidationError):
        PriceSetting(model="gpt-x", input=price)  # type: ignore[arg-type]


def test_prices_of_a_file_are_as_exact_as_they_are_written() -> None:
    """TOML gives floats; what was written is what counts."""
    assert PriceSetting(model="gpt-x", input=0.0000001).input == Decimal("0.0000001")  # type: ignore[arg-type]


def test_a_billionth_is_a_decimal() -> None:
    assert dollars(1) == Decimal("0.000000001")
    assert dollars(12_345_678_901) == Decimal("12.345678901")
