"""What happens to a parameter that a vendor does not take as it is. One rule for all of them:

- a number outside the vendor's range becomes the nearest one in it, and a note says so (the caller finds the notes in
  a response header);
- a parameter that the vendor lacks is refused, naming the field, unless its value asks for nothing;
- nothing is dropped in silence.

Notes go into a header, so they are ASCII.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from modelyard.domain.inference import Sampling
from modelyard.gateway.adapters.wire import unsupported

N = TypeVar("N", int, float)

NEUTRAL: Mapping[str, Any] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logprobs": False,
    "top_logprobs": 0,
}
"""Values that ask for nothing: every model does that already."""


def clamped(name: str, value: N | None, low: N, high: N, notes: list[str]) -> N | None:
    """``value`` where it lies between ``low`` and ``high``, else the nearer of the two, noted."""
    if value is None or low <= value <= high:
        return value
    nearest = low if value < low else high
    notes.append(f"{name}: {value:g} is out of range here, {nearest:g} was sent")
    return nearest


def refuse(request: Sampling, reasons: Mapping[str, str], neutral: Mapping[str, Any] = NEUTRAL) -> None:
    """Raise `InvalidRequest` for the first field in ``reasons`` that ``request`` sets to more than nothing."""
    for name, reason in reasons.items():
        value = getattr(request, name, None)
        if value is not None and (name not in neutral or value != neutral[name]):
            raise unsupported(name, reason)


def whole_top_k(request: Sampling) -> int | None:
    """``top_k`` as the whole number that vendors take."""
    top_k = request.top_k
    if top_k is not None and top_k != int(top_k):
        raise unsupported("top_k", "must be a whole number for this model")
    return None if top_k is None else int(top_k)
