"""The tables of ``docs/reference/templates.md``: ``python -m modelyard.catalog.reference FILE`` renews them.

They stand between ``<!-- begin: name -->`` and ``<!-- end: name -->``; a test compares them with the catalog.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from modelyard.catalog.entries import Catalog
from modelyard.catalog.loader import load
from modelyard.domain.cards import CardParameter, EngineCard
from modelyard.domain.parameters import as_text
from modelyard.domain.vendor_models import VendorModel

_BLOCK = re.compile(r"(<!-- begin: (?P<name>[a-z]+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)


def renewed(page: str, catalog: Catalog) -> str:
    """``page`` with its tables made anew."""
    tables = {"templates": _templates, "starters": _starters, "vendors": _vendors, "engines": _engines}

    def table(match: re.Match[str]) -> str:
        lines = "\n".join(tables[match["name"]](catalog))
        return f"{match[1]}\n{lines}\n\n{match[3]}"

    return _BLOCK.sub(table, page)


def _templates(catalog: Catalog) -> Iterator[str]:
    yield "| Template | For models of type | Engine | Protocol | What it is for |"
    yield "| --- | --- | --- | --- | --- |"
    for entry in catalog.templates:
        link = f"[`{entry.card.engine}`](#{_anchor(entry.card)})"
        yield f"| `{entry.name}` | {entry.model_type} | {link} | {entry.card.protocol} | {entry.description} |"


def _starters(catalog: Catalog) -> Iterator[str]:
    yield "| Model | Type | Made from | Parameters | Window | Licence | What it is |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for starter in catalog.starters:
        details = starter.metadata["modelDetails"]
        yield (
            f"| `{starter.name}` | {starter.template.model_type} | `{starter.template.name}` "
            f"| {details['number_of_parameters'] / 1e6:.1f} million "
            f"| {details['token_context_window']} tokens | {starter.licence} | {starter.description} |"
        )


def _vendors(catalog: Catalog) -> Iterator[str]:
    yield "| Model | Vendor | Type | Window | Most output | Capabilities | Input | Cached input | Output |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for model in catalog.vendor_models:
        name = f"`{model.name}`" + (f" (until {model.deprecated})" if model.deprecated else "")
        tokens = [f"{count:,}" if count else "" for count in (model.context_window, model.max_output_tokens)]
        can = ", ".join(sorted(model.capabilities))
        prices = [_millions(model, part) for part in ("input", "cached_input", "output")]
        if not any(prices):
            prices[0] = "not known"
        yield f"| {' | '.join([name, model.vendor, model.model_type, *tokens, can, *prices])} |"


def _millions(model: VendorModel, part: str) -> str:
    """US dollars per million tokens: each price from its day on, and from its length of prompt."""
    told = []
    for price in model.prices:
        amount = getattr(price, part)
        if amount is not None:
            above = f" above {price.prompt_above:,} tokens" if price.prompt_above else ""
            told.append(f"{(amount * 1_000_000).normalize():f}{above} from {price.since}")
    return ", ".join(told)


def _engines(catalog: Catalog) -> Iterator[str]:
    for index, card in enumerate(sorted(catalog.cards.values(), key=lambda card: card.engine)):
        if index:
            yield ""
        yield f"### {card.title} {{ #{_anchor(card)} }}"
        yield ""
        yield f"`registry: modelyard`, `image: {card.engine}`. {card.description}"
        if card.extra:
            yield f"Needs `pip install 'modelyard[{card.extra}]'`."
        yield ""
        types = ", ".join(card.model_types)
        yield f"Serves {types}; protocol {card.protocol}, health route `{card.healthcheck_route}`."
        yield ""
        yield "| Parameter | Type | Default | Bounds | What it is |"
        yield "| --- | --- | --- | --- | --- |"
        for parameter in card.parameters:
            yield _row(parameter)


def _row(parameter: CardParameter) -> str:
    default = "required" if parameter.required else "" if parameter.default in (None, "") else _default(parameter)
    return f"| `{parameter.name}` | {parameter.type} | {default} | {_bounds(parameter)} | {parameter.description}. |"


def _default(parameter: CardParameter) -> str:
    assert parameter.default is not None
    return f"`{as_text(parameter.default)}`"


def _bounds(parameter: CardParameter) -> str:
    if parameter.choices:
        return ", ".join(f"`{choice}`" if choice else "(empty)" for choice in parameter.choices)
    if parameter.weights:
        return ", ".join("directory" if form == "/" else f"`{form}`" for form in parameter.weights)
    low, high = parameter.minimum, parameter.maximum
    if low is None:
        return ""
    return f"≥ {low:g}" if high is None else f"{low:g} to {high:g}"


def _anchor(card: EngineCard) -> str:
    return f"engine-{card.engine}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(renewed(file.read_text("utf-8"), load()), "utf-8")
