"""What happens to a parameter that a vendor does not take as it is. One rule for all of them:

- a number outside the vendor's range becomes the nearest one in it, and a note says so (the caller finds the notes in
  a response header);
- an effort to reason that the model has no word for becomes the nearest one that it has, noted too;
- a parameter that the vendor lacks is refused, naming the field, unless its value asks for nothing;
- but for the temperature of models that take none: it is left out and noted, as the official client promises. Half the
  clients there are send one out of habit, and a fallback may lead from a model that takes one to one that does not;
- nothing is dropped in silence.

Notes go into a header, so they are ASCII.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from modelyard.domain.inference import EFFORTS, ImageData, ImageUrl, Sampling, TextRequest
from modelyard.gateway.adapters.wire import unsupported

N = TypeVar("N", int, float)
R = TypeVar("R", bound=TextRequest)

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


def nearest_effort(effort: str, known: Sequence[str], notes: list[str]) -> str:
    """``effort``, or the nearest of those that a model has words for, noted; of two that are as near the lower one."""
    if effort in known:
        return effort
    place = EFFORTS.index(effort)
    nearest = min(known, key=lambda each: (abs(EFFORTS.index(each) - place), EFFORTS.index(each)))
    notes.append(f"reasoning_effort: this model has no '{effort}', '{nearest}' was sent")
    return nearest


def without_temperature(request: R, notes: list[str]) -> R:
    """``request`` for a model that takes no temperature: what it asked for is noted, unless it is the usual one."""
    if request.temperature is None:
        return request
    if request.temperature != 1:
        notes.append("temperature: this model takes none, so it was left out")
    return msgspec.structs.replace(request, temperature=None)


def note_detail(image: ImageData | ImageUrl | None, where: str, notes: list[str]) -> None:
    """Say that the ``detail`` of the image at ``where`` is not told, where it asks for something."""
    if image is not None and image.detail not in (None, "auto"):
        notes.append(f"{where}: this vendor takes no detail")


def whole_top_k(request: Sampling) -> int | None:
    """``top_k`` as the whole number that vendors take."""
    top_k = request.top_k
    if top_k is not None and top_k != int(top_k):
        raise unsupported("top_k", "must be a whole number for this model")
    return None if top_k is None else int(top_k)
