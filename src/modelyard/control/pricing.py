"""What a call cost, looked up when its usage is written, beside the calls' path."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC

from modelyard.clock import Clock
from modelyard.domain.prices import cost_of, most
from modelyard.domain.routes import Route
from modelyard.domain.usage import UsageRecord
from modelyard.domain.vendor_models import Price, VendorModel, price_on
from modelyard.settings import CostSettings


class Pricing:
    """The catalog's prices, and over them those of the settings, which are by a model's name: the vendor's or ours."""

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
        prices = self._prices(record.vendor, record.vendor_model or record.model_name, record.model_name)
        price = price_on(prices, record.started_at.astimezone(UTC).date(), record.prompt_tokens)
        cost = None if price is None else cost_of(record, price)
        return record if cost is None else replace(record, cost_nano=cost)

    def at_most(self, route: Route, prompt_tokens: int, response_tokens: int) -> int | None:
        """Billionths of a dollar that a call of ``route`` may cost today; None where nobody knows."""
        if route.vendor is None:
            return 0
        prices = self._prices(route.vendor.vendor.value, route.vendor.model, route.model_name)
        price = price_on(prices, self._clock.now().astimezone(UTC).date(), prompt_tokens)
        return None if price is None else most(prompt_tokens, response_tokens, price)

    def _prices(self, vendor: str, vendor_model: str, name: str) -> tuple[Price, ...]:
        for each in (name, vendor_model):
            if (own := self._own.get(each)) is not None:
                return own
        return self._by_vendor.get((vendor, vendor_model), ())
