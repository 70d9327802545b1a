"""Inference calls before everything else: found by a look-up, and answered with nothing around them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard.errors import MethodNotAllowed
from modelyard.http.boundary import Boundary
from modelyard.http.inference.endpoint import Endpoint
from modelyard.http.request_id import RequestId

_Found = tuple[Endpoint, Mapping[str, str]]
_ANY = "{}"
_REMEMBERED = 1024
"""Paths that were looked for last: most calls are of few deployments."""
_MEMORABLE = 256
"""Longer paths are not remembered: whoever makes some up is not to fill the memory."""


class HotFirst:
    """Calls to endpoints that see to request ids and errors by themselves go straight to them. All else takes the long
    way: what is wrong with a method, what belongs to none of ``routes`` and so to ``rest``."""

    def __init__(self, routes: Sequence[Route], rest: ASGIApp) -> None:
        self._directory = Directory(routes)
        self._rest = RequestId(Boundary(Routed(routes, rest)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            found = self._directory.find(scope["path"])
            if found is not None:
                endpoint, scope["path_params"] = found
                await endpoint(scope, receive, send)
                return
        await self._rest(scope, receive, send)


class Directory:
    """Endpoints by the paths that they answer POST at. Finds what Starlette's own matching finds, without trying one
    pattern after the other."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._endpoints: dict[str, tuple[Endpoint, tuple[str, ...]]] = {}
        self._places: dict[int, tuple[int, ...]] = {}
        for route in routes:
            segments = route.path.split("/")
            places = tuple(at for at, segment in enumerate(segments) if segment.startswith("{"))
            # Paths of as many segments have their parameters in the same places, or they take the long way.
            if isinstance(route.app, Endpoint) and self._places.setdefault(len(segments), places) == places:
                names = tuple(segments[at][1:-1] for at in places)
                self._endpoints.setdefault(_blanked(segments, places), (route.app, names))
        self._remembered = lru_cache(_REMEMBERED)(self._found)

    def find(self, path: str) -> _Found | None:
        """The endpoint, and the parameters in its path: the same mapping each time, to be read alone."""
        return self._remembered(path) if len(path) <= _MEMORABLE else self._found(path)

    def _found(self, path: str) -> _Found | None:
        segments = path.split("/")
        places = self._places.get(len(segments), ())
        values = [segments[at] for at in places]
        found = self._endpoints.get(_blanked(segments, places))
        if found is None or "" in values:
            return None
        endpoint, names = found
        return endpoint, dict(zip(names, values, strict=True))


def _blanked(segments: list[str], places: tuple[int, ...]) -> str:
    for at in places:
        segments[at] = _ANY
    return "/".join(segments)


class Routed:
    """``routes`` by Starlette's own matching; what is none of theirs goes on to ``rest``."""

    def __init__(self, routes: Sequence[Route], rest: ASGIApp) -> None:
        self._routes = tuple(routes)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for route in self._routes:
                match, child_scope = route.matches(scope)
                if match is Match.FULL:
                    scope.update(child_scope)
                    await route.handle(scope, receive, send)
                    return
                if match is Match.PARTIAL:
                    raise MethodNotAllowed(scope["method"], self._methods_at(scope))
        await self._rest(scope, receive, send)

    def _methods_at(self, scope: Scope) -> set[str]:
        here = [route for route in self._routes if route.matches(scope)[0] is not Match.NONE]
        return {method for route in here for method in route.methods or ()}
