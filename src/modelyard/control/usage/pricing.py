"""What a call cost, looked up when its usage is written, beside the calls' path."""

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec.structs import replace

from modelyard.clock import Clock
from modelyard.domain.prices import cost_of, most
from modelyard.domain.routes import Route
from modelyard.domain.usage import UsageRecord
from modelyard.domain.vendor_models import Price, VendorModel, price_on
from modelyard.settings import CostSettings


class Pricing:
    """The catalog's prices, and over them those of the settings, which are by a model's name: the vendor's or ours.
    Where no price of the settings holds, as before its day, the catalog's does."""

    def __init__(self, models: Iterable[VendorModel], settings: CostSettings, clock: Clock) -> None:
        self._clock = clock
        self._by_vendor: dict[tuple[str, str], tuple[Price, ...]] = {}
        for model in models:
            self._by_vendor[model.vendor.value, model.model] = model.prices
        self._own: dict[str, tuple[Price, ...]] = {}
        for each in settings.prices:
            price = Price(each.since, each.input, each.output, each.cached_input, each.reasoning, each.prompt_above)
            self._own[each.model] = (*self._own.get(each.model, ()), price)

    def priced(self, record: UsageRecord) -> UsageRecord:
        """The record with its cost, where a vendor answered and a price was in effect when the call began."""
        if record.vendor is None or record.cost_nano is not None:
            return record
        known = self._prices(record.vendor, record.vendor_model or record.model_name, record.model_name)
        price = _first(known, record.started_at, record.prompt_tokens)
        cost = None if price is None else cost_of(record, price)
        return record if cost is None else replace(record, cost_nano=cost)

    def at_most(self, route: Route, prompt_tokens: int, response_tokens: int) -> int | None:
        """Billionths of a dollar that a call of ``route`` may cost today; None where nobody knows."""
        if route.vendor is None:
            return 0
        known = self._prices(route.vendor.vendor.value, route.vendor.model, route.model_name)
        price = _first(known, self._clock.now(), prompt_tokens)
        return None if price is None else most(prompt_tokens, response_tokens, price)

    def _prices(self, vendor: str, vendor_model: str, name: str) -> tuple[tuple[Price, ...], ...]:
        """What comes first where it holds stands first."""
        own = (self._own.get(each, ()) for each in (name, vendor_model))
        return (*own, self._by_vendor.get((vendor, vendor_model), ()))


def _first(known: Iterable[tuple[Price, ...]], moment: datetime, prompt_tokens: int) -> Price | None:
    day = moment.astimezone(UTC).date()
    found = (price_on(prices, day, prompt_tokens) for prices in known)
    return next((price for price in found if price is not None), None)
