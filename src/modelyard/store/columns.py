"""Column types that mean the same on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from modelyard.domain.intervals import from_microseconds, to_microseconds


def checked(value: str | None) -> str | None:
    """The value; `UnicodeError` where PostgreSQL could not hold it."""
    if value is not None and "\0" in value:
        raise UnicodeError("text with NUL")
    return value


class _String(String):
    """Refuses what PostgreSQL refuses by itself."""

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        return checked


class _Text(Text):
    """Refuses what PostgreSQL refuses by itself."""

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        return checked


Name = _String().with_variant(String(collation="C"), "postgresql")
Prose = _Text().with_variant(Text(collation="C"), "postgresql")
"""Text, short and long, that sorts by code point on both databases."""


class Words(TypeDecorator[str]):
    """What a process said: characters that no database holds are replaced, so that it can always be written down."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


class Instant(TypeDecorator[datetime]):
    """A point in time as integer microseconds since 1970: exact, comparable, the same everywhere."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_microseconds(value)


class Json(TypeDecorator[Any]):
    """Nested data as JSON text with sorted keys, so that equal data is equal text and sorts as text."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Prose)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value, order="sorted").decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)
