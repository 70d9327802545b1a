"""A change that lost a race is made once more; any other conflict is an answer."""

import pytest

from modelyard.control.again import MET, until_unmet
from modelyard.errors import Conflict


class Racing:
    def __init__(self, losses: int, code: str = MET) -> None:
        self.losses = losses
        self.code = code
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.tries <= self.losses:
            raise Conflict("met", code=self.code)
        return "done"


async def test_a_lost_race_is_run_again() -> None:
    change = Racing(2)
    assert await until_unmet(change) == "done"
    assert change.tries == 3


async def test_some_races_are_never_won() -> None:
    change = Racing(100)
    with pytest.raises(Conflict):
        await until_unmet(change)
    assert change.tries == 5


async def test_another_conflict_is_told_at_once() -> None:
    change = Racing(1, "name_taken")
    with pytest.raises(Conflict):
        await until_unmet(change)
    assert change.tries == 1
