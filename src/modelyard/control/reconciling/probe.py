"""Whether workers answer: what a launcher sees of a process, completed by what its health route says."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import aiohttp

from modelyard.clock import Clock
from modelyard.domain.deployments import COMING, Deployment, Observation, Phase, Worker
from modelyard.domain.snapshots import Snapshot
from modelyard.launchers.base import Launcher
from modelyard.settings import ReconcilerSettings

_LAST_WORDS = 3


@dataclass(slots=True)
class _Record:
    """What is known of one worker from earlier looks; monotonic seconds."""

    loading_since: float | None = None
    answered: bool = False
    answered_at: float = float("-inf")
    failures: int = 0
    failed_at: float = float("-inf")


class Prober:
    """Asks workers' health routes and judges: READY, still LOADING, or EXITED because it is to be given up.
    One that answered is believed for ``probe_seconds``.

    What it remembers is its own: another controller that takes over begins to count anew, which at worst
    gives a worker more time.
    """

    def __init__(self, launcher: Launcher, clock: Clock, settings: ReconcilerSettings) -> None:
        self._launcher = launcher
        self._clock = clock
        self._settings = settings
        self._records: dict[str, _Record] = {}
        self._session: aiohttp.ClientSession | None = None

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def forget(self, worker_ids: Iterable[str]) -> None:
        for worker_id in worker_ids:
            self._records.pop(worker_id, None)

    async def judge(
        self, deployment: Deployment, snapshot: Snapshot, observations: Sequence[Observation]
    ) -> list[Observation]:
        """The observations, each with its phase as health tells it; ``snapshot`` is of the revision that is to serve.
        Workers of others are not asked: their health route may be another one, and calls that they still serve must
        not be cut."""
        asked = {row.id for row in deployment.workers if _is_asked(row, deployment.revision)}
        for row in deployment.workers:
            if row.phase is Phase.READY:
                # It answered before, perhaps to another controller: not answering now is no slow start.
                self._records.setdefault(row.id, _Record(answered=True))
        for seen in observations:
            if seen.phase is Phase.PULLING and seen.worker_id in self._records:
                self._records[seen.worker_id].loading_since = None
        return await asyncio.gather(
            *(
                self._judge(snapshot, seen)
                if seen.worker_id in asked and seen.phase is Phase.LOADING and seen.address
                else _as_is(seen)
                for seen in observations
            )
        )

    async def _judge(self, snapshot: Snapshot, seen: Observation) -> Observation:
        record = self._records.setdefault(seen.worker_id, _Record())
        if not record.failures and self._clock.monotonic() - record.answered_at < self._settings.probe_seconds:
            return replace(seen, phase=Phase.READY, detail=None)
        route = snapshot.bundle.healthcheck_route
        problem = await self._ask(f"{seen.address}{route}")
        if problem is None:
            record.answered, record.answered_at, record.failures = True, self._clock.monotonic(), 0
            return replace(seen, phase=Phase.READY, detail=None)
        port = urlsplit(seen.address or "").port
        if record.answered:
            # While a sibling starts, looks are frequent; a short hiccup is one failure, however often it is seen.
            if self._clock.monotonic() - record.failed_at >= self._settings.poll_seconds:
                record.failures, record.failed_at = record.failures + 1, self._clock.monotonic()
            if record.failures < self._settings.probe_failures:
                return replace(seen, phase=Phase.READY)
            words = f"did not answer GET {route} on port {port} {record.failures} times in a row ({problem})"
            return await self._given_up(seen, words)
        record.loading_since = record.loading_since if record.loading_since is not None else self._clock.monotonic()
        limit = snapshot.bundle.readiness_initial_delay_seconds
        if self._clock.monotonic() - record.loading_since < limit:
            return seen
        return await self._given_up(seen, f"did not answer GET {route} on port {port} within {limit} s ({problem})")

    async def _ask(self, url: str) -> str | None:
        """What is wrong with the answer, or None."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._settings.probe_seconds), trust_env=False
            )
        try:
            async with self._session.get(url, allow_redirects=False) as response:
                return None if response.status == 200 else f"it answered {response.status}"
        except TimeoutError:
            return f"no answer in {self._settings.probe_seconds:g} s"
        except aiohttp.ClientConnectorError:
            return "nothing listens there"
        except aiohttp.ClientError as error:
            return str(error) or type(error).__name__

    async def _given_up(self, seen: Observation, words: str) -> Observation:
        said = [line.strip() for line in await self._launcher.logs(seen.worker_id, 20) if line.strip()]
        last = f"its last words: {' | '.join(said[-_LAST_WORDS:])}" if said else "it wrote nothing"
        return replace(seen, phase=Phase.EXITED, detail=f"{words}; {last}"[:1000])


def _is_asked(row: Worker, revision: str) -> bool:
    return row.revision == revision and row.phase in (*COMING, Phase.READY)


async def _as_is(seen: Observation) -> Observation:
    return seen
