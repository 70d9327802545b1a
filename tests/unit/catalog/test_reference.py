import re
from pathlib import Path

import pytest

from modelyard.catalog import load
from modelyard.catalog.reference import renewed
from modelyard.domain.cards import check_card
from modelyard.domain.weight_uris import parse

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "templates.md"


def test_the_reference_shows_the_catalog_as_it_is():
    page = PAGE.read_text("utf-8")
    assert page == renewed(page, load()), "run: python -m modelyard.catalog.reference docs/reference/templates.md"
    for entry in load().templates:
        assert f"`{entry.name}`" in page
    for card in load().cards.values():
        for parameter in card.parameters:
            assert f"| `{parameter.name}` |" in page


def test_the_reference_shows_a_price_that_is_not_known_as_such_and_what_a_model_can_do():
    rows = {
        cells[1].strip(" `"): cells for line in PAGE.read_text("utf-8").splitlines() if (cells := line.split("|"))[1:]
    }
    for model in load().vendor_models:
        row = next(cells for name, cells in rows.items() if name.split("`")[0] == model.name)
        assert (row[7].strip() == "not known") == (not model.prices)
        assert row[6].strip() == ", ".join(sorted(model.capabilities))


def test_every_uri_that_the_reference_shows_is_one():
    uris = re.findall(r"\b(?:hf|file|s3|gs|az|pypi):[^\s`\",]+", PAGE.read_text("utf-8"))
    uris = [uri for uri in uris if not uri.endswith(":") and "…" not in uri]
    assert len(uris) > 10
    for uri in uris:
        parse(uri)


@pytest.mark.parametrize("template", ["onnx-embedding", "cross-encoder-reranker", "transformers", "vllm"])
def test_every_example_fits_its_template(template):
    (row,) = re.findall(rf"^\| .*`{template}`.* \| (`weights: .*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    values = dict(pair.split(": ", 1) for pair in re.findall(r"`([^`]+)`", row))
    (card,) = (entry.card for entry in load().templates if entry.name == template)
    assert check_card(card, values) == []
    assert set(values) <= {parameter.name for parameter in card.parameters}
