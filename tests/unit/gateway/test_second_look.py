"""Names that nobody knows are looked for once more, but not without end."""

from modelyard.errors import Unavailable
from modelyard.gateway.looking import EVERY_SECONDS, SecondLook
from modelyard.testing.clock import FakeClock
from modelyard.testing.gateway import FakeRoutes


class Counted(FakeRoutes):
    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.away = False

    async def refresh(self) -> None:
        self.looks += 1
        if self.away:
            raise Unavailable("The database is away.")


async def test_one_look_serves_for_a_while() -> None:
    routes, clock = Counted(), FakeClock()
    look = SecondLook(routes, clock)
    assert [await look.take(), await look.take(), await look.take()] == [True, False, False]
    await clock.advance(EVERY_SECONDS)
    assert await look.take()
    assert routes.looks == 2


async def test_without_a_store_what_is_known_is_all_there_is() -> None:
    routes = Counted()
    routes.away = True
    assert not await SecondLook(routes, FakeClock()).take()
