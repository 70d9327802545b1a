"""Who answers instead: deployments in order, each of which may have fallbacks of its own, and never in a circle."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Own = Mapping[str, Sequence[str]]
"""What each one leads to itself."""


@dataclass(frozen=True, slots=True)
class Node:
    """A model or a model server, as far as falling back goes."""

    id: str
    leads_to: tuple[str, ...]
    """Ids of the models that its fallbacks are deployments of."""
    home: frozenset[str]
    """Ids of the models that it asks first: a model itself, those behind a server."""


def in_order(own: Own, start: str) -> tuple[str, ...]:
    """Everyone who may answer instead of ``start``, nearest first: each fallback, then the fallbacks of that one.
    Nobody twice, and never ``start`` itself, whatever circles there are."""
    return tuple(way[-1] for way in _walk(own, start, {start}))


def circle(nodes: Collection[Node], changed: str) -> tuple[str, ...] | None:
    """The way along which calls would come back to whom they began with, by way of what ``changed`` leads to; None
    where they never do. Ids, the first one's the node where it begins."""
    own = {node.id: node.leads_to for node in nodes}
    for node in nodes:
        for way in _walk(own, node.id, set()):
            if way[-1] in node.home and changed in way[:-1]:
                return tuple(way)
    return None


def of_server(first: str, others: Iterable[str], named: Iterable[str], own: Own) -> tuple[str, ...]:
    """As `in_order`, for a call of a model server that goes to ``first``: the ``others`` behind it, then those that the
    server has ``named``, each followed by its own, and at last those of the models behind it. ``own``: whole orders."""
    others = tuple(others)
    named = (one for each in named for one in (each, *own.get(each, ())))
    theirs = (one for each in (first, *others) for one in own.get(each, ()))
    return tuple(each for each in dict.fromkeys((*others, *named, *theirs)) if each != first)


def _walk(own: Own, start: str, seen: set[str]) -> Iterator[list[str]]:
    """The ways from ``start`` to everyone it leads to who is not in ``seen``, each once, depth first. They are one
    list, which goes on changing."""
    way, rest = [start], [iter(own.get(start, ()))]
    while rest:
        here = next(rest[-1], None)
        if here is None:
            way.pop()
            rest.pop()
        elif here not in seen:
            seen.add(here)
            way.append(here)
            rest.append(iter(own.get(here, ())))
            yield way
