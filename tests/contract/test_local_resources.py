"""What the local launcher does about memory, CPUs and GPUs."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from launcher_suite import SECONDS, observed, until

from modelyard.domain.deployments import Phase, Resources, WorkerSpec
from modelyard.errors import LaunchError
from modelyard.launchers import machine
from modelyard.launchers.local import LocalLauncher, memory
from modelyard.settings import Settings
from modelyard.testing.workers import fake_spec

MIB = 1024**2
EATS = "import time; held = b'x' * (200 * 1024**2); time.sleep(60)"
EATS_IN_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {EATS!r}])"
MAPS = """
import mmap, time
with open({path!r}, "wb") as file:
    for _ in range(200): file.write(b"x" * 1024**2)
big = open({path!r}, "rb")
mapped = mmap.mmap(big.fileno(), 0, prot=mmap.PROT_READ)
sum(mapped[at] for at in range(0, len(mapped), 4096))
print("mapped", flush=True)
time.sleep(60)
"""


@pytest.fixture
async def launcher(tmp_path: Path) -> AsyncIterator[LocalLauncher]:
    made = LocalLauncher(tmp_path, Settings(data_dir=tmp_path))
    yield made
    for deployment_id in await made.deployments():
        for seen in await made.observe(deployment_id):
            await made.stop(seen.worker_id, 0)


def spec(script: str, **resources: int) -> WorkerSpec:
    made = fake_spec(command=(sys.executable, "-c", script))
    return replace(made, resources=Resources(**resources))


async def said(launcher: LocalLauncher, one: WorkerSpec) -> str:
    """What it wrote, once it wrote something."""
    async with asyncio.timeout(SECONDS):
        while not (lines := await launcher.logs(one.worker_id)):
            await asyncio.sleep(0.02)
    return "".join(lines)


@pytest.mark.parametrize("script", [EATS, EATS_IN_A_CHILD])
async def test_a_worker_that_holds_more_than_its_memory_is_killed_and_named_so(
    launcher: LocalLauncher, script: str
) -> None:
    hungry = spec(script, memory=100 * MIB)
    await launcher.start(hungry)
    detail = (await until(launcher, hungry, Phase.EXITED)).detail or ""
    assert detail.startswith("out of memory: it held "), detail
    assert "its limit is 100 MiB" in detail
    # Another server reads the same, long after.
    assert (await observed(LocalLauncher(launcher._root.parent, Settings()), hungry)).detail == detail


@pytest.fixture
def on_disk() -> Iterator[Path]:
    """Not below pytest's own directory, which may be in memory: what is mapped from there is memory that is held."""
    cache = Path(__file__).parents[2] / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        yield Path(directory)


async def test_what_is_mapped_from_files_does_not_count(launcher: LocalLauncher, on_disk: Path) -> None:
    modest = spec(MAPS.format(path=str(on_disk / "big")), memory=100 * MIB)
    await launcher.start(modest)
    await said(launcher, modest)
    assert (await until(launcher, modest, Phase.LOADING)).detail is None
    process = launcher._homes()[0].process()
    assert process is not None
    assert 0 < memory.held(process.pid) < 100 * MIB


async def test_memory_that_others_have_reserved_is_refused_with_the_figures(
    launcher: LocalLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory", lambda: 1000 * MIB)
    await launcher.start(spec("import time; time.sleep(60)", memory=600 * MIB))
    with pytest.raises(LaunchError, match=r"500 MiB of memory: 600 MiB of 1000 MiB"):
        await launcher.start(spec("pass", memory=500 * MIB))
    assert (await launcher.capacity()).reserved.memory == 600 * MIB
    await launcher.start(spec("import time; time.sleep(60)", memory=400 * MIB))


async def test_every_worker_has_gpus_of_its_own(launcher: LocalLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ["0", "1", "2"])
    says = "import os, time; print('GPUS', os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); time.sleep(60)"

    async def seen_by(gpus: int) -> str:
        made = spec(says, gpus=gpus)
        await launcher.start(made)
        return (await said(launcher, made)).strip()

    assert [await seen_by(2), await seen_by(0), await seen_by(1)] == ["GPUS 0,1", "GPUS", "GPUS 2"]
    with pytest.raises(LaunchError, match="0 of 3 are free"):
        await launcher.start(spec(says, gpus=1))


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 bytes"), (1536, "1.5 KiB"), (2 * 1024**3, "2 GiB"), (5 * 1024**4, "5 TiB")]
)
def test_sizes_are_for_people(number: int, words: str) -> None:
    assert machine.in_words(number) == words
