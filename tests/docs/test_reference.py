"""The reference pages say what the code says, and nothing else."""

import ast
import re
import textwrap
from pathlib import Path

import pytest
from typer.main import get_command

from modelyard.cli import reference
from modelyard.cli.app import app
from modelyard.domain.models import ModelVendor
from modelyard.domain.templates import ModelType
from modelyard.domain.vendor_models import TYPES_OF
from modelyard.domain.vendor_requests import request_schema_of
from modelyard.store.tables import metadata
from modelyard.store.tables_of_call_log import call_log_settings
from modelyard.store.trail import noun_of

ROOT = Path(__file__).parents[2]
KINDS = (ModelType.CHAT_COMPLETION, ModelType.EMBEDDING, ModelType.RERANKING)
DOCS = ROOT / "docs"
RENEW = "run scripts/make-reference"


def codes_in_the_source() -> set[str]:
    """Every error code that is raised anywhere: ``code="…"`` in a call, and the classes' own."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.keyword(arg="code", value=ast.Constant(value=str(code))):
                    found.add(code)
                case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
                    found.add(code)
                case ast.AnnAssign(target=ast.Name(id="code"), value=ast.Constant(value=str(code))):
                    found.add(code)
                case ast.keyword(arg="code", value=ast.Name(id=name)) if name.isupper():
                    found.add(name.lower())  # a constant that is called as the code is
    return found


def test_every_error_code_is_described_and_none_that_does_not_exist() -> None:
    page = (DOCS / "reference" / "errors.md").read_text()
    first_cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    described = {code for cell in first_cells for code in re.findall(r"`([a-z_]+)`", cell)}
    missing = codes_in_the_source() - described
    invented = described - codes_in_the_source()
    assert not missing
    assert not invented


def test_the_settings_page_is_made_from_the_settings() -> None:
    assert (DOCS / "reference" / "settings.md").read_text() == reference.settings_page(), RENEW


def test_the_commands_page_is_made_from_the_commands() -> None:
    assert (DOCS / "reference" / "cli.md").read_text() == reference.cli_page(), RENEW


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "ARCHITECTURE.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_mentioned_exist(page: Path) -> None:
    known = set(re.findall(r"`(MODELYARD_\w+)`", reference.settings_page()))
    known |= {"MODELYARD_CONFIG_FILE", "MODELYARD_URL", "MODELYARD_API_KEY"}
    mentioned = set(re.findall(r"\bMODELYARD_[A-Z_]*[A-Z]\b", page.read_text()))
    assert not {name for name in mentioned if name not in known and not name.startswith("MODELYARD_TEST_")}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_that_are_mentioned_exist(page: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for name in re.findall(r"(?:`|\.venv/bin/)modelyard ([a-z]+)", page.read_text()):
        assert name in commands


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_python_in_the_pages_is_python(page: Path) -> None:
    for block in re.findall(r"^ *```python\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE):
        compile(textwrap.dedent(block), str(page), "exec")


def test_the_glossary_speaks_of_words_that_the_code_uses() -> None:
    page = (DOCS / "glossary.md").read_text()
    words = [line.split("|")[1].strip() for line in page.splitlines()[5:] if line.startswith("| ")]
    assert len(words) > 30
    source = " ".join(path.read_text().lower() for path in (ROOT / "src").rglob("*.py")).replace("_", " ")
    unused = [word for word in words for part in re.split(r" / | \(.*", word) if part and part.lower() not in source]
    assert not unused


def test_what_vendors_are_called_for_is_what_the_code_says() -> None:
    page = (DOCS / "guides" / "vendors.md").read_text().split("## Built-in models")[0]
    words = {ModelType.EMBEDDING: "embeddings", ModelType.RERANKING: "reranking", ModelType.CHAT_COMPLETION: "chat"}
    rows = {cells[1].strip(): cells[3] for line in page.splitlines() if len(cells := line.split("|")) == 5}
    for vendor, types in TYPES_OF.items():
        if vendor is not ModelVendor.OTHER:
            told = {kind for kind, word in words.items() if word in rows[vendor.value]}
            assert told == set(types) & set(words), vendor


def test_the_audit_log_s_kinds_of_entities_are_those_of_the_code() -> None:
    """That none is missing, `test_permissions` sees, which changes everything."""
    page = (DOCS / "guides" / "accounts.md").read_text()
    [told] = re.findall(r"`entity_type` \((.*?)\)", page, re.DOTALL)
    tables = [call_log_settings, *(table for table in metadata.tables.values() if "id" in table.c)]
    assert set(re.findall(r"`(\w+)`", told)) <= {noun_of(table.name) for table in tables}


def test_the_vendors_request_parameters_are_those_of_the_code() -> None:
    page = (DOCS / "guides" / "vendors.md").read_text()
    table = page.split("## What else a call may say")[1].split("## ")[0]
    told = {}
    for line in table.splitlines():
        vendors, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        for vendor in re.findall(r"[A-Z_]{4,}", vendors):
            told |= {(vendor, kind): set(re.findall(r"`(\w+)`", cell)) for kind, cell in zip(KINDS, cells, strict=True)}
    for vendor in ModelVendor:
        for kind in KINDS:
            names = {parameter.name for parameter in request_schema_of(vendor, kind).parameters}
            assert told.get((vendor.value, kind), set()) == names, (vendor, kind)
