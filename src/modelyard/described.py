"""Pydantic models whose fields are described by the docstrings under them.

Pydantic can do so itself (``use_attribute_docstrings``), but looks for each class's source among all modules that are
loaded: a third of what a server needs to start. Here every file is read once.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Described(BaseModel):
    # Validators are made when they are needed, and so after the descriptions are there.
    model_config = ConfigDict(defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for name, text in _by_class(cls.__module__).get(cls.__qualname__, {}).items():
            field = cls.model_fields.get(name)
            if field is not None and field.description is None:
                field.description = text


@cache
def _by_class(module: str) -> Mapping[str, Mapping[str, str]]:
    """What is said of each field, by the class's name; nothing where there is no source."""
    path = getattr(sys.modules.get(module), "__file__", None)
    try:
        tree = ast.parse(Path(path or "").read_bytes())
    except (OSError, SyntaxError):
        return {}
    return {node.name: dict(_described(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _described(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(node.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    yield field.target.id, inspect.cleandoc(words)
