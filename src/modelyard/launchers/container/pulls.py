"""Pulling images: once for all workers that wait for one, and telling how far it is."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from modelyard.errors import LaunchError, Unavailable
from modelyard.launchers.container.engine import Engine
from modelyard.launchers.container.faults import Refused, pull_error
from modelyard.launchers.machine import in_words
from modelyard.settings import RegistryLogin

log = structlog.get_logger(__name__)


class Progress:
    """What an engine's lines add up to: ``{id: layer, status: …, progressDetail: {current: …, total: …}}``, bytes."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int]] = {}
        self._unpacking = False

    def feed(self, line: Mapping[str, Any]) -> None:
        layer, status = str(line.get("id") or ""), str(line.get("status") or "").lower()
        detail = line.get("progressDetail") or {}
        current, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
        self._unpacking = status.startswith(("extracting", "writing"))
        if status.startswith(("downloading", "copying")) and total > 0:
            self._layers[layer] = (min(current, total), total)
        elif status.startswith(("download complete", "pull complete", "verifying")) and layer in self._layers:
            self._layers[layer] = (self._layers[layer][1],) * 2

    def __str__(self) -> str:
        done, total = (sum(part) for part in zip(*self._layers.values(), strict=True)) if self._layers else (0, 0)
        if not total:
            return ""
        words = f"{in_words(done)} of {in_words(total)} ({100 * done // total} %)"
        return f"{words}, unpacking" if self._unpacking else words


class Pull:
    """One image on its way."""

    def __init__(self, engine: Engine, reference: str, login: RegistryLogin | None) -> None:
        self._engine = engine
        self._reference = reference
        self._login = login
        self._progress = Progress()
        self.waiting = 0
        self.task = asyncio.create_task(self._run())

    @property
    def detail(self) -> str:
        return f"pulling {self._reference}: {words}" if (words := str(self._progress)) else f"pulling {self._reference}"

    async def _run(self) -> None:
        try:
            async for line in self._engine.pull(self._reference, self._login):
                self._progress.feed(line)
            if await self._engine.image(self._reference) is None:
                # A stream may break off without a word.
                raise LaunchError(f"The image {self._reference} could not be pulled; the engine did not say why.")
        except Refused as error:
            raise pull_error(self._reference, error.message) from error
        except Unavailable as error:
            raise LaunchError(str(error), code=error.code) from error


class Pulls:
    """Those under way, by image."""

    def __init__(self, engine: Engine, logins: Mapping[str, RegistryLogin]) -> None:
        self._engine = engine
        self._logins = logins
        self._running: dict[str, Pull] = {}

    def join(self, reference: str) -> Pull:
        """To be followed by `finish`."""
        pull = self._running.get(reference)
        if pull is None:
            log.info("image is pulled", image=reference)
            pull = Pull(self._engine, reference, self._logins.get(reference.partition("/")[0]))
            self._running[reference] = pull
            pull.task.add_done_callback(lambda _: self._running.pop(reference, None))
        pull.waiting += 1
        return pull

    async def finish(self, pull: Pull) -> None:
        """Wait for it. Who is cancelled waits no more; what nobody waits for is given up. Raises `LaunchError`."""
        try:
            await asyncio.shield(pull.task)
        finally:
            pull.waiting -= 1
            if not pull.waiting and not pull.task.done():
                pull.task.cancel()
                with suppress(asyncio.CancelledError):
                    await pull.task
