"""What native libraries write to standard error while they load: often the only place that says why they failed."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def captured_stderr(keep: int = 200) -> Iterator[deque[str]]:
    """Read file descriptor 2 along: what is written goes on to where it went, and the last ``keep`` lines into
    the deque, complete when the block is left."""
    lines: deque[str] = deque(maxlen=keep)
    original = os.dup(2)
    reader, writer = os.pipe()

    def copy() -> None:
        rest = b""
        while data := os.read(reader, 65536):
            with suppress(OSError):  # whoever read our standard error may be gone; the library must not block
                os.write(original, data)
            *whole, rest = (rest + data).split(b"\n")
            lines.extend(line.decode("utf-8", "replace") for line in whole)
        if rest:
            lines.append(rest.decode("utf-8", "replace"))

    thread = threading.Thread(target=copy, name="stderr", daemon=True)
    os.dup2(writer, 2)
    os.close(writer)
    thread.start()
    try:
        yield lines
    finally:
        os.dup2(original, 2)  # closes the pipe's last writing end
        thread.join()
        os.close(reader)
        os.close(original)
