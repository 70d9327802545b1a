"""Who answers instead: deployments in order, each of which may have fallbacks of its own."""

from collections.abc import Iterator, Mapping, Sequence

Own = Mapping[str, Sequence[str]]
"""The fallbacks that each deployment names itself."""


def in_order(own: Own, start: str) -> tuple[str, ...]:
    """Everyone who may answer instead of ``start``, nearest first: each fallback, then the fallbacks of that one.
    Nobody twice, and never ``start`` itself, whatever circles there are."""
    return tuple(_walk(own, start, {start}))


def _walk(own: Own, here: str, seen: set[str]) -> Iterator[str]:
    for each in own.get(here, ()):
        if each not in seen:
            seen.add(each)
            yield each
            yield from _walk(own, each, seen)
