"""The other end of `modelyard.gateway.side_process`: reads tasks on standard input, answers on standard output, each
after its length in four bytes."""

import contextlib
import resource
import sys
from collections.abc import Callable

MEMORY_BYTES = 512 * 1024 * 1024


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer one task after the other until nobody asks any more."""
    # Where the system cannot bound memory, the parent's time limit is what is left.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(b"+")
    sink.flush()
    while size := source.read(4):
        answered = answer(source.read(int.from_bytes(size, "big")))
        sink.write(len(answered).to_bytes(4, "big") + answered)
        sink.flush()
