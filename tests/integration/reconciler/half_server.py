"""A server's reconciling half as a process of its own, to be killed: ``half_server.py DATABASE_URL DATA_DIR``."""

import asyncio
import sys
from pathlib import Path

from modelyard.clock import SystemClock
from modelyard.control.reconciling.reconciler import Reconciler
from modelyard.domain.deployments import Deployment
from modelyard.launchers.local import LocalLauncher
from modelyard.settings import ReconcilerSettings, Settings
from modelyard.store import Store


class NoLoad:
    def in_flight(self, worker_id: str) -> int:
        return 0

    def desired(self, deployment: Deployment) -> int | None:
        return None


async def main(database: str, data_dir: Path) -> None:
    settings = Settings(
        data_dir=data_dir, reconciler=ReconcilerSettings(poll_seconds=0.1, backoff_seconds=0.2, lease_seconds=1)
    )
    store = await Store.open(database)
    launcher = LocalLauncher(settings.data_dir, settings)
    print("up", flush=True)
    await Reconciler(store, launcher, SystemClock(), settings, load=NoLoad()).run()


asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
