"""Rests of vendors' keys, told to the other gateways through the store, and heard from them.

A rest is written when it begins, and taken away when the vendor answers after it: never for each call. What others
wrote is read where the pulse says that there is something new, by the loop that follows routes.
"""

import asyncio
from datetime import timedelta

import structlog

from modelyard.clock import Clock
from modelyard.domain.vendor_rests import HearsOfRests, Rest, RestKey
from modelyard.errors import Unavailable
from modelyard.store import Store
from modelyard.store.pulse import Pulse

log = structlog.get_logger(__name__)

WRITE_SECONDS = 0.25
"""What comes within this time is written together."""
AGAIN_SECONDS = 1.0

_KEPT = timedelta(hours=1)
"""After which nobody needs to know any more how long the last rest of a key was."""


class VendorRests:
    """Of one gateway. While the store is away, it knows what it finds out itself."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._rota: HearsOfRests | None = None
        self._untold: dict[RestKey, Rest | None] = {}
        self._news = asyncio.Event()
        self._known: dict[RestKey, Rest] = {}
        self._version: int | None = None

    def tell(self, rota: HearsOfRests) -> None:
        self._rota = rota

    def began(self, rest: Rest) -> None:
        self._untold[rest.key] = rest
        self._news.set()

    def ended(self, key: RestKey) -> None:
        self._untold[key] = None
        self._news.set()

    async def run(self) -> None:
        """Tell the store of what is new, until cancelled."""
        while True:
            await self._news.wait()
            try:
                await self.write()
                await self._clock.sleep(WRITE_SECONDS)
            except Unavailable as error:
                log.debug("rests of vendors' keys are not told: the store is away", error=str(error))
                await self._clock.sleep(AGAIN_SECONDS)

    async def write(self) -> None:
        self._news.clear()
        told = self._untold
        begun = [rest for rest in told.values() if rest is not None]
        ended = [key for key, rest in told.items() if rest is None]
        self._untold = {}
        try:
            async with self._store.begin() as tx:
                await tx.vendor_rests.write(begun, ended, self._clock.now() - _KEPT)
        except Unavailable:
            self._untold = told | self._untold
            self._news.set()
            raise
        # What it wrote itself is no news when it is read.
        self._known = {key: rest for key, rest in self._known.items() if key not in told}
        self._known |= {rest.key: rest for rest in begun}

    async def heed(self, pulse: Pulse) -> None:
        """Tell the rota of what others found out since the last time; raises `Unavailable`."""
        if pulse.rests_version == self._version:
            return
        async with self._store.read() as tx:
            there = await tx.vendor_rests.all()
        first, self._version = self._version is None, pulse.rests_version
        before, self._known = self._known, there
        if self._rota is None:
            return
        now = self._clock.now()
        for key, rest in there.items():
            if rest != before.get(key) and key not in self._untold:
                # Who saw it begin needs nobody's clock: as long as it takes there, it takes here.
                self._rota.rests_elsewhere(rest, rest.left(now if first else rest.began))
        for key in before.keys() - there.keys() - self._untold.keys():
            self._rota.well_elsewhere(key)
