"""The local launcher keeps the launchers' contract, and what is its own: logs, records, environment."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from launcher_suite import LauncherSuite, observed, pid_of, until

from modelyard.domain.deployments import Phase
from modelyard.domain.templates import BUILT_IN_REGISTRY
from modelyard.errors import LaunchError
from modelyard.launchers.endings import in_words
from modelyard.launchers.local import LocalLauncher
from modelyard.launchers.local.environment import environment
from modelyard.launchers.local.home import Home
from modelyard.settings import LoggingSettings, Settings
from modelyard.testing.workers import fake_spec


@pytest.fixture
def make_launcher(tmp_path: Path) -> Callable[[], LocalLauncher]:
    settings = Settings(data_dir=tmp_path, logging=LoggingSettings(worker_log_bytes=4096))
    return lambda: LocalLauncher(tmp_path, settings)


@pytest.fixture
async def launcher(make_launcher: Callable[[], LocalLauncher]) -> AsyncIterator[LocalLauncher]:
    made = make_launcher()
    yield made
    last = make_launcher()
    for deployment_id in await last.deployments():
        for seen in await last.observe(deployment_id):
            await last.stop(seen.worker_id, 0)
    await made.aclose()


class TestLocalLauncher(LauncherSuite):
    """All of the suite."""


def home_of(launcher: LocalLauncher, worker_id: str) -> Home:
    return Home(launcher._root / worker_id)


async def test_a_killed_worker_is_told_as_such(launcher: LocalLauncher) -> None:
    spec = fake_spec()
    await launcher.start(spec)
    os.kill(await pid_of(launcher, spec), signal.SIGKILL)
    one = await until(launcher, spec, Phase.EXITED)
    assert one.exit_code == -signal.SIGKILL
    assert "SIGKILL (out of memory?)" in (one.detail or "")


async def test_a_worker_that_died_unwatched_is_told_as_such(
    launcher: LocalLauncher, make_launcher: Callable[[], LocalLauncher]
) -> None:
    spec = fake_spec(SAY="good bye")
    await launcher.start(spec)
    pid = await pid_of(launcher, spec)
    await launcher.aclose()
    os.kill(pid, signal.SIGKILL)
    one = await until(make_launcher(), spec, Phase.EXITED)
    assert one.detail == "ended while no server watched it: good bye"


async def test_a_reused_process_id_is_not_mistaken_for_the_worker(
    launcher: LocalLauncher, make_launcher: Callable[[], LocalLauncher], is_alive: Callable[[int], bool]
) -> None:
    spec = fake_spec()
    await launcher.start(spec)
    os.kill(await pid_of(launcher, spec), signal.SIGKILL)
    await until(launcher, spec, Phase.EXITED)
    home = home_of(launcher, spec.worker_id)
    (home.path / "exit.json").unlink()
    recorded = home.process()
    assert recorded is not None
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        (home.path / "process.json").write_text(f'{{"pid": {stranger.pid}, "created": {recorded.created - 60}}}')
        later = make_launcher()
        await until(later, spec, Phase.EXITED)
        await later.stop(spec.worker_id, 0)
        assert is_alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


async def test_a_process_that_no_file_tells_of_is_ended_and_started_anew(
    launcher: LocalLauncher, make_launcher: Callable[[], LocalLauncher], is_alive: Callable[[int], bool]
) -> None:
    spec = fake_spec()
    await launcher.start(spec)
    pid = await pid_of(launcher, spec)
    (home_of(launcher, spec.worker_id).path / "process.json").unlink()  # the server died before it wrote it
    later = make_launcher()
    assert await observed(later, spec) is None
    await later.start(spec)
    assert await pid_of(later, spec) != pid
    assert not is_alive(pid)


async def test_strays_are_ended_when_deployments_are_listed(
    launcher: LocalLauncher, make_launcher: Callable[[], LocalLauncher], is_alive: Callable[[int], bool]
) -> None:
    spec = fake_spec()
    await launcher.start(spec)
    pid = await pid_of(launcher, spec)
    (home_of(launcher, spec.worker_id).path / "process.json").unlink()
    assert await make_launcher().deployments() == []
    assert not is_alive(pid)


async def test_a_long_log_is_cut_and_old_ones_are_kept(launcher: LocalLauncher) -> None:
    script = "import time\nfor n in range(4000):\n print('line', n, '.' * 40)\n time.sleep(0.0005)\ntime.sleep(60)"
    spec = fake_spec(command=(sys.executable, "-c", script))
    await launcher.start(spec)
    home = home_of(launcher, spec.worker_id)
    for _ in range(1000):
        await observed(launcher, spec)
        await asyncio.sleep(0.01)
        if any("line 3999" in line for line in await launcher.logs(spec.worker_id, 5)):
            break
    await observed(launcher, spec)
    names = {path.name for path in home.path.glob("log*")}
    assert names == {"log", "log.1", "log.2", "log.3"}
    assert home.log.stat().st_size <= 4096
    lines = await launcher.logs(spec.worker_id, 20)
    assert len(lines) == 20
    assert lines[-1].startswith("line 3999")


async def test_a_workers_own_last_words_come_first(launcher: LocalLauncher) -> None:
    script = (
        "import json, os, sys\n"
        "status = {'phase': 'exited', 'detail': 'no weights at /nowhere'}\n"
        "json.dump(status, open(os.environ['MODELYARD_WORKER_STATUS'], 'w'))\n"
        "sys.exit('noise')"
    )
    spec = fake_spec(command=(sys.executable, "-c", script))
    await launcher.start(spec)
    assert (await until(launcher, spec, Phase.EXITED)).detail == "no weights at /nowhere"


async def test_pulling_is_told_with_its_progress(launcher: LocalLauncher) -> None:
    script = (
        "import json, os, time\n"
        "json.dump({'phase': 'pulling', 'detail': '12 of 98 MB'}, open(os.environ['MODELYARD_WORKER_STATUS'], 'w'))\n"
        "time.sleep(60)"
    )
    spec = fake_spec(command=(sys.executable, "-c", script))
    await launcher.start(spec)
    assert (await until(launcher, spec, Phase.PULLING)).detail == "12 of 98 MB"


async def test_a_traceback_is_reduced_to_its_error(launcher: LocalLauncher) -> None:
    spec = fake_spec(command=(sys.executable, "-c", "def load():\n  raise ValueError('not a model')\nload()"))
    await launcher.start(spec)
    assert (await until(launcher, spec, Phase.EXITED)).detail == "exit code 1: ValueError: not a model"


async def test_the_environment_holds_parameters_and_address_but_not_the_servers_secrets(
    launcher: LocalLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_BOOTSTRAP_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    home = home_of(launcher, "w")
    spec = fake_spec(context_length="2048", cpus=3)
    env = environment(spec, home)
    assert env["context_length"] == "2048"
    assert env["OMP_NUM_THREADS"] == "3"
    assert "secret" not in env.values()
    assert environment(replace(spec, registry=BUILT_IN_REGISTRY), home)["HF_TOKEN"] == "secret"


async def test_ports_and_hosts_reach_the_command_line(launcher: LocalLauncher) -> None:
    script = "import sys; sys.exit(' '.join(sys.argv[1:]))"
    spec = fake_spec(command=(sys.executable, "-c", script, "--at=${HOST}:${PORT}", "$$HOME", "; `id`"))
    await launcher.start(spec)
    one = await until(launcher, spec, Phase.EXITED)
    assert (one.address or "").startswith("http://127.0.0.1:"), "nobody else's machine reaches it"
    assert one.detail == f"exit code 1: --at={(one.address or '').removeprefix('http://')} $HOME ; `id`"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), "no command"),
        (("/no/such/file",), "does not exist"),
        (("/etc/passwd",), "not executable"),
        (("/etc",), "directory"),
    ],
)
async def test_commands_that_cannot_run_are_named(
    launcher: LocalLauncher, command: tuple[str, ...], words: str
) -> None:
    with pytest.raises(LaunchError, match=words):
        await launcher.start(fake_spec(command=command))
    assert not home_of(launcher, "").path.exists() or not list(home_of(launcher, "").path.iterdir())


async def test_images_need_another_launcher(launcher: LocalLauncher) -> None:
    with pytest.raises(LaunchError, match=r"docker\.io/fake"):
        await launcher.start(replace(fake_spec(), registry="docker.io"))


def test_exits_in_words() -> None:
    assert in_words(0) == "ended by itself with exit code 0"
    assert in_words(2) == "exit code 2"
    assert in_words(-11) == "killed by SIGSEGV (a crash in native code)"
    assert in_words(137) == "killed by SIGKILL (out of memory?)"
    assert in_words(-200) == "killed by signal 200"
