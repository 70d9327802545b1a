"""A template's own request parameters, as further fields of a vendor's body."""

from typing import Any

import msgspec

from modelyard.gateway.adapters.wire import bindings_of, unsupported

_encode = msgspec.json.Encoder().encode


def with_bindings(body: Any, request: Any, taken: frozenset[str]) -> bytes:
    """``body`` as JSON with ``model_request_parameters`` beside its own fields. Raises `InvalidRequest` for names in
    ``taken``, which have a place of their own in a request."""
    bindings = bindings_of(request)
    if not bindings:
        return _encode(body)
    for name in bindings:
        if name in taken:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself; set it there")
    return _encode({**msgspec.to_builtins(body), **bindings})
