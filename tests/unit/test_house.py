"""The habits of the house, checked: sizes, one-way names, no word that says nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "modelyard"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
FORBIDDEN_WORDS = ("Manager", "Helper", "Utils", "Impl", "Util")

# file or file:function -> why it may be longer
EXCEPTIONS: dict[str, str] = {}


def sources() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function's name and its lines of code, docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            start = node.body[0].lineno
            if ast.get_docstring(node):
                start = node.body[1].lineno if len(node.body) > 1 else node.end_lineno
            yield node.name, node.end_lineno - start + 1


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_are_small(path: Path) -> None:
    name = str(path.relative_to(SOURCE))
    offenders = []
    if (lines := len(path.read_text().splitlines())) > MAX_FILE_LINES and name not in EXCEPTIONS:
        offenders.append(f"{name} has {lines} lines")
    for function, length in functions(path):
        if length > MAX_FUNCTION_LINES and f"{name}:{function}" not in EXCEPTIONS:
            offenders.append(f"{name}:{function} has {length} lines")
    assert not offenders


def test_no_exception_is_stale() -> None:
    known = set()
    for path in sources():
        name = str(path.relative_to(SOURCE))
        known |= {name, *(f"{name}:{function}" for function, _ in functions(path))}
    assert set(EXCEPTIONS) <= known


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_classes_are_called_what_they_are(path: Path) -> None:
    classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    assert not [name for name in classes if name.endswith(FORBIDDEN_WORDS)]
