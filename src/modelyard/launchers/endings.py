"""How a worker ended, in words a user can act on."""

import re
import signal
from collections.abc import Sequence

MORE_MEMORY = "raise memory in the template's endpoint_config or the deployment's vendor_configuration"

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_NOISE = re.compile(r"^[\s\-=*_.~^|]*$")


def in_words(code: int | None) -> str:
    """How a process ended, for people. Negative codes are signals, as in `subprocess`."""
    if code is None:
        return "ended while no server watched it"
    if code == 0:
        return "ended by itself with exit code 0"
    if code > 0:
        # Shells report a signal as 128 + its number.
        return in_words(128 - code) if code in (128 + signal.SIGKILL, 128 + signal.SIGSEGV) else f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        return f"killed by signal {-code}"
    notes = {"SIGKILL": " (out of memory?)", "SIGSEGV": " (a crash in native code)", "SIGBUS": " (disk full?)"}
    return f"killed by {name}{notes.get(name, '')}"


def last_words(lines: Sequence[str], count: int = 3) -> str | None:
    """What a program most likely meant to say last: its last lines that hold words, in one line.

    Of a Python traceback that is the error itself; the frames above it are left to the log.
    """
    plain = [_ANSI.sub("", line).rstrip() for line in lines]
    starts = [index for index, line in enumerate(plain) if line.startswith("Traceback (most recent call last)")]
    if starts:
        after = plain[starts[-1] + 1 :]
        # Frames are indented, the error is not.
        error = next((index for index, line in enumerate(after) if line and not line[0].isspace()), None)
        plain = after[error:] if error is not None else plain
    said = [line.strip() for line in plain if not _NOISE.match(line)]
    return " | ".join(said[-count:])[-600:] or None
