"""Reads the catalog's vendors: one YAML file for each, their models, what they can do and what a token costs."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation

from modelyard.catalog import shapes
from modelyard.domain.vendor_models import TYPES_OF, Price, VendorModel
from modelyard.domain.vendors import VENDORS

CAPABILITIES = frozenset({"images", "tools", "json_schema", "logprobs", "reasoning", "dimensions"})


def vendor_models(shape: shapes.Vendor) -> Iterator[VendorModel]:
    """The models of one file. Raises ValueError saying what is wrong with which."""
    if shape.vendor not in VENDORS:
        raise ValueError(f"{shape.vendor} is hosted here")
    for each in shape.models:
        if each.type not in TYPES_OF[shape.vendor]:
            raise ValueError(f"{each.name}: {shape.vendor} is not called for {each.type}")
        if unknown := set(each.capabilities) - CAPABILITIES:
            raise ValueError(f"{each.name}: unknown capability {', '.join(sorted(unknown))}")
        yield VendorModel(
            vendor=shape.vendor,
            name=each.name,
            model=each.model or each.name,
            model_type=each.type,
            display_name=each.display_name,
            developer=shape.developer,
            context_window=each.context_window,
            max_output_tokens=each.max_output_tokens,
            capabilities=frozenset(each.capabilities),
            prices=tuple(_price(each.name, price) for price in each.prices),
            deprecated=None if each.deprecated is None else date.fromisoformat(each.deprecated),
        )


def _price(name: str, shape: shapes.VendorPrice) -> Price:
    def amount(text: str | None) -> Decimal | None:
        try:
            return None if text is None else Decimal(text)
        except InvalidOperation as error:
            raise ValueError(f"{name}: '{text}' is no price") from error

    return Price(
        since=date.fromisoformat(shape.since),
        input=amount(shape.input),
        output=amount(shape.output),
        cached_input=amount(shape.cached_input),
        reasoning=amount(shape.reasoning),
        prompt_above=shape.prompt_above,
    )
