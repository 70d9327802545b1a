"""Where a call stands in a trace, in the form of W3C Trace Context (https://www.w3.org/TR/trace-context/, level 1)."""

import random
import re

from msgspec import Struct

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z")
_MAX_STATE = 512
_PRINTABLE = re.compile(r"[\x20-\x7e]*\Z")


class Trace(Struct, frozen=True, gc=False):
    """Ids in lower-case hexadecimal digits: 32 of a trace, 16 of a span."""

    trace_id: str
    span_id: str
    """This call's own."""
    parent_id: str | None
    """The caller's span; None where the trace begins here."""
    sampled: bool
    state: str = ""
    """The caller's ``tracestate``, passed on as it came."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What whoever is asked next is told."""
        parent = ("traceparent", f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}")
        return (parent, ("tracestate", self.state)) if self.state else (parent,)


def begun(traceparent: str | None, tracestate: str | None, share: float) -> Trace:
    """The place of a call whose caller sent these headers. What is no ``traceparent`` begins a new trace, of which
    ``share`` is sampled; the caller's own decision is kept."""
    random_ids = random.randbytes(24).hex()  # noqa: S311  # unique is enough
    span_id = random_ids[32:]
    found = _TRACEPARENT.match(traceparent.strip()) if traceparent else None
    if found is None or not _valid(*found.groups()):
        sampled = random.random() < share  # noqa: S311
        return Trace(random_ids[:32], span_id, None, sampled)
    _, trace_id, parent_id, flags, _ = found.groups()
    state = (tracestate or "").strip()
    keeps = len(state) <= _MAX_STATE and _PRINTABLE.match(state)
    return Trace(trace_id, span_id, parent_id, bool(int(flags, 16) & 1), state if keeps else "")


def _valid(version: str, trace_id: str, parent_id: str, flags: str, more: str | None) -> bool:
    if version == "ff" or not trace_id.strip("0") or not parent_id.strip("0"):
        return False
    return version != "00" or more is None
