"""Vendors' models as data: what the catalog says of each, and what a token costs on a day."""

from collections import Counter
from datetime import date
from decimal import Decimal

import pytest

from modelyard.catalog import load
from modelyard.domain.parameters import check_values
from modelyard.domain.templates import ModelType
from modelyard.domain.vendor_models import Price, VendorModel, price_on, schema_for

MODELS = load().vendor_models


def test_names_are_unique_among_all_that_is_built_in() -> None:
    names = Counter([model.name for model in MODELS] + [starter.name for starter in load().starters])
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_model_says_what_it_takes_to_call_it(model: VendorModel) -> None:
    assert check_values(schema_for(model.vendor), model.parameters) == []
    if model.model_type is ModelType.CHAT_COMPLETION:
        assert model.context_window
    for price in model.prices:
        assert price.input is not None
        assert Decimal(0) <= price.input < Decimal("0.001")
        assert price.cached_input is None or price.cached_input <= price.input
        assert (price.output is None) == (model.model_type in (ModelType.EMBEDDING, ModelType.RERANKING))


def test_the_price_of_the_day_and_of_the_prompts_length() -> None:
    old, new = Price(date(2025, 1, 1), Decimal(3)), Price(date(2025, 6, 1), Decimal(2))
    long = Price(date(2025, 6, 1), Decimal(4), prompt_above=200)
    prices = (old, new, long)
    assert price_on(prices, date(2024, 12, 31)) is None
    assert price_on(prices, date(2025, 5, 31), 1000) is old
    assert price_on(prices, date(2025, 6, 1), 200) is new
    assert price_on(prices, date(2026, 1, 1), 201) is long
    assert price_on((), date(2026, 1, 1)) is None
