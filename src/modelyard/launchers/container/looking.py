"""From what the engine shows of a container to what it means."""

from collections.abc import Sequence

import msgspec

from modelyard.domain.deployments import Phase
from modelyard.launchers.container.addresses import base_url
from modelyard.launchers.container.configuration import HOST_NETWORK
from modelyard.launchers.container.engine import Listed, State
from modelyard.launchers.container.labels import Marks
from modelyard.launchers.endings import MORE_MEMORY, in_words, last_words
from modelyard.launchers.machine import in_words as size_in_words
from modelyard.settings import ContainersSettings

LAST_WORDS_LINES = 40

# Docker's words and Podman's.
_MADE = frozenset({"created", "configured", "initialized"})
_RUNNING = frozenset({"running", "paused", "stopping", "restarting"})
_OVER = frozenset({"exited", "stopped", "dead"})
_KILLED = 128 + 9
_NOTES = {126: " (the command is not executable)", 127: " (the command was not found)"}


class Status(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    phase: str = ""
    detail: str | None = None


def is_made_only(state: str) -> bool:
    """Made, but not started."""
    return state in _MADE


def is_half_made(listed: Listed) -> bool:
    return is_made_only(listed.state)


def is_running(state: str) -> bool:
    return state in _RUNNING


def is_over(state: str) -> bool:
    return state in _OVER


def phase_of(listed: Listed, address: str | None) -> Phase | None:
    """None where it is just being removed."""
    if is_over(listed.state):
        return Phase.EXITED
    if is_running(listed.state):
        return Phase.LOADING if address else Phase.STARTING
    return Phase.STARTING if is_made_only(listed.state) else None


def address_of(listed: Listed, marks: Marks, settings: ContainersSettings, ip: str | None) -> str | None:
    """Where the worker is called; None while the engine has not given it an address, or no more. ``ip`` is its own
    in its network."""
    if settings.network == HOST_NETWORK:
        return base_url(settings.host, marks.port)
    if settings.network is not None:
        return base_url(ip, marks.port) if ip else None
    port = listed.published.get(marks.port)
    return base_url(settings.host, port) if port else None


def epitaph(state: State, marks: Marks, own: Status | None, lines: Sequence[str]) -> str:
    """Why a worker ended: the kernel's reason, its own words where it left any, else the end of its log."""
    limit = marks.held.memory
    bound = f"its limit is {size_in_words(limit)}" if limit else "it had no limit of its own"
    if state.out_of_memory:
        return f"out of memory: the kernel ended it, and {bound}; {MORE_MEMORY}"
    if state.exit_code == _KILLED and limit:
        # Podman on version 1 of control groups does not tell.
        return f"out of memory, most likely: it was killed, and {bound}; {MORE_MEMORY}"
    if own is not None and own.phase == Phase.EXITED and own.detail:
        return own.detail
    how = f"{in_words(state.exit_code)}{_NOTES.get(state.exit_code, '')}"
    words = last_words(lines) or state.trouble
    return f"{how}: {words}" if words else f"{how}; it wrote nothing"
