"""Typed parameters: what a template asks for, and how values reach a worker.

A template declares *creation parameters* (filled in when a model or deployment is made) and
*request parameters* (filled in at each call). Values are checked here, expanded into ``command``
items and ``env`` values here, and turned into environment variables here.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

from modelyard.errors import FieldError, InvalidRequest

Value = str | int | float | bool
Values = Mapping[str, Value]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

LAUNCHER_VARIABLES = frozenset({"PORT", "HOST"})
"""Set by the launcher for every worker; a command may refer to them."""

_RESERVED = frozenset({"PATH", "HOME", "SHELL", "USER", "IFS", "ENV", "BASH_ENV", "TMPDIR"})
_RESERVED_PREFIXES = ("LD_", "DYLD_", "PYTHON", "MODELYARD_", "MALLOC_", "GLIBC_", "GIT_", "NODE_OPTIONS")


class ParameterType(StrEnum):
    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: ParameterType
    description: str
    required: bool


@dataclass(frozen=True, slots=True)
class ParameterSchema:
    parameters: tuple[Parameter, ...] = ()


def is_reserved(name: str) -> bool:
    """Whether ``name`` would change how the worker's process itself runs, were it set in its environment."""
    upper = name.upper()
    return upper in LAUNCHER_VARIABLES or upper in _RESERVED or upper.startswith(_RESERVED_PREFIXES)


def check_schema(schema: ParameterSchema, *loc: str | int) -> list[FieldError]:
    """What is wrong with a schema itself: names that are no variable names, twice there, or reserved."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, parameter in enumerate(schema.parameters):
        where = (*loc, "parameters", index, "name")
        if not _NAME.match(parameter.name):
            errors.append(
                FieldError(where, "must be a variable name: letters, digits and _, not starting with a digit")
            )
        elif is_reserved(parameter.name):
            errors.append(FieldError(where, f"'{parameter.name}' is reserved for the worker's process; choose another"))
        if parameter.name in seen:
            errors.append(FieldError(where, f"'{parameter.name}' is declared twice"))
        seen.add(parameter.name)
    return errors


def _accepts(type_: ParameterType, value: object) -> bool:
    match type_:
        case ParameterType.BOOL:
            return isinstance(value, bool)
        case ParameterType.INT:
            return isinstance(value, int) and not isinstance(value, bool)
        case ParameterType.FLOAT:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ParameterType.STR:
            return isinstance(value, str) and "\x00" not in value


def check_values(
    schema: ParameterSchema, values: Mapping[str, object], *loc: str | int, partial: bool = False
) -> list[FieldError]:
    """Unknown, missing and mistyped values, each named. ``partial`` lets required ones be absent
    (a model may leave to its deployments what they set)."""
    known = {parameter.name: parameter for parameter in schema.parameters}
    errors: list[FieldError] = []
    for name, value in values.items():
        parameter = known.get(name)
        if parameter is None:
            there = f"there are {', '.join(sorted(known))}" if known else "there is none"
            errors.append(FieldError((*loc, name), f"unknown parameter; {there}", "unknown"))
        elif not _accepts(parameter.type, value):
            msg = f"must be of type {parameter.type}, not {type(value).__name__}"
            errors.append(FieldError((*loc, name), msg, "type_error"))
    if not partial:
        for name, parameter in known.items():
            if parameter.required and name not in values:
                errors.append(FieldError((*loc, name), "required, but not given", "missing"))
    return errors


def checked(schema: ParameterSchema, values: Mapping[str, object], *loc: str | int) -> None:
    """Raise `InvalidRequest` unless ``values`` fit ``schema`` completely."""
    if errors := check_values(schema, values, *loc):
        raise InvalidRequest(errors, code="invalid_parameters")


def references(text: str) -> set[str]:
    """The names that ``text`` refers to as ``${name}`` or ``${name:-default}``."""
    return {match[1] for match in _REFERENCE.finditer(text) if match[1]}


def check_references(texts: Iterable[tuple[tuple[str | int, ...], str]], schema: ParameterSchema) -> list[FieldError]:
    """References to parameters that nobody declared, each with the place where it stands."""
    known = {parameter.name for parameter in schema.parameters} | LAUNCHER_VARIABLES
    return [
        FieldError(loc, f"refers to ${{{name}}}, which model_creation_parameters_schema does not declare")
        for loc, text in texts
        for name in sorted(references(text) - known)
    ]


def as_text(value: Value) -> str:
    """A value as an environment variable holds it: true/false for booleans, shortest exact form for floats."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace ``${name}`` and ``${name:-default}`` by values, ``$$`` by a dollar sign; an absent or
    empty value takes the default, or nothing. A dollar sign before anything else stays."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return values.get(match[1]) or match[2] or ""

    return _REFERENCE.sub(replace, text)


def expand_but(text: str, values: Mapping[str, str], later: Set[str]) -> str:
    """`expand`, but leave references to the names ``later`` for a second `expand` that knows them.
    Dollar signs that come out of the first pass are doubled, so that the second reads none of them."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$" or match[1] in later:
            return match[0]
        return quoted(values.get(match[1]) or match[2] or "")

    return _REFERENCE.sub(replace, text)


def quoted(text: str) -> str:
    """``text`` as `expand` gives it back unchanged."""
    return text.replace("$", "$$")


def environment(values: Values) -> dict[str, str]:
    """Every creation parameter as a variable of its own name."""
    return {name: as_text(value) for name, value in values.items()}
