"""What can never be had, and what is shared."""

from modelyard.control.fitting import check_fits, oversubscribed
from modelyard.domain.deployments import Resources
from modelyard.domain.room import room_for
from modelyard.launchers.base import Capacity

GIB = 1024**3
THERE = Resources(cpus=2, memory=8 * GIB, gpus=1)


def test_both_figures_are_told() -> None:
    errors = list(check_fits(Resources(memory=9 * GIB, gpus=2), {"gpus": 2}, THERE))
    assert [error.loc[-1] for error in errors] == ["memory", "gpus"]
    assert "9 GiB of memory (the template says so), and there are 8 in all" in errors[0].msg
    assert "2 GPUs, and there are 1 in all" in errors[1].msg


def test_what_fits_or_is_not_known_is_no_error() -> None:
    assert not list(check_fits(Resources(memory=8 * GIB, gpus=1), {}, THERE))
    assert not list(check_fits(Resources(cpus=64), {}, THERE))
    assert not list(check_fits(Resources(memory=9 * GIB), {}, Resources()))


def test_more_cpus_than_there_are_is_a_warning() -> None:
    capacity = Capacity(THERE, Resources(cpus=1))
    assert oversubscribed(Resources(cpus=1), 1, capacity) is None
    assert "3 are promised to workers, and there are 2" in (oversubscribed(Resources(cpus=1), 2, capacity) or "")
    assert oversubscribed(Resources(), 9, capacity) is None


def test_room_is_counted_by_what_is_scarcest() -> None:
    assert room_for(Resources(memory=2 * GIB), THERE, Resources(memory=3 * GIB)) == 2
    assert room_for(Resources(memory=GIB, gpus=1), THERE, Resources(gpus=1)) == 0
    assert room_for(Resources(cpus=1), THERE, Resources(cpus=2)) is None
    assert room_for(Resources(memory=GIB), THERE, Resources(memory=20 * GIB)) == 0
