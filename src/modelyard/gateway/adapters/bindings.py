"""A template's own request parameters, as further fields of a vendor's body."""

from collections.abc import Mapping
from typing import Any

import msgspec

from modelyard.gateway.adapters.wire import bindings_of, unsupported

_encode = msgspec.json.Encoder().encode


_AS_THEY_ARE: Mapping[str, str] = {}


def with_bindings(body: Any, request: Any, taken: frozenset[str], renamed: Mapping[str, str] = _AS_THEY_ARE) -> bytes:
    """``body`` as JSON with ``model_request_parameters`` beside its own fields, under the names that ``renamed`` gives
    them. Raises `InvalidRequest` for names in ``taken``, which have a place of their own in a request."""
    bindings = bindings_of(request)
    if not bindings:
        return _encode(body)
    for name in bindings:
        if name in taken:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself; set it there")
    further = {renamed.get(name, name): value for name, value in bindings.items()}
    return _encode({**msgspec.to_builtins(body), **further})
