"""Workers that follow a load curve, measured on a real server with real workers, drawn and printed.

The curve: nobody, a few callers, a burst, a few again, nobody. Windows are short, so that it takes a minute and a half
and not an hour; the fake engine takes its time to load and to answer, and computes nothing. Writes the picture that
``docs/guides/scaling.md`` shows.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import matplotlib

from report import machine, middle, table
from server import ROOT, Server, serving

matplotlib.use("Agg")

from matplotlib import pyplot

PICTURE = ROOT / "docs" / "assets" / "autoscale.svg"
WINDOWS = {"idle_seconds": 10, "up_window_seconds": 2, "down_window_seconds": 8}
PER_WORKER, MAX_WORKERS = 2, 6
LOAD_SECONDS, TOKEN_SECONDS = 1.0, 0.1
"""What a worker takes to load, and for each of the eight tokens of an answer."""

# Name of a part, callers, seconds.
CURVE = (("nobody", 0, 4), ("a few", 2, 14), ("a burst", 11, 20), ("fewer", 4, 22), ("nobody", 0, 26))
_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Look:
    at: float
    callers: int
    wanted: int
    ready: int


@dataclass(frozen=True)
class Answer:
    began: float
    seconds: float
    failed: bool


@dataclass
class Measured:
    looks: list[Look] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


def deploy(server: Server) -> str:
    """The path of the deployment."""
    names = ("fake_delay_seconds", "fake_load_seconds")
    parameters = [{"name": name, "type": "float", "description": "pause", "required": False} for name in names]
    template = {
        "name": "curve",
        "endpoint_type": "STREAMING",
        "model_type": "CHAT_COMPLETION",
        "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "1"}},
        "model_creation_parameters_schema": {"parameters": parameters},
    }
    model = {
        "name": "curve",
        "model_type": "CHAT_COMPLETION",
        "model_template_id": server.post("/v4/model-templates", template)["id"],
        "model_creation_parameters": {"fake_delay_seconds": TOKEN_SECONDS, "fake_load_seconds": LOAD_SECONDS},
    }
    path = f"/v4/models/{server.post('/v4/models', model)['id']}/deployments"
    scaling = {"min_workers": 0, "max_workers": MAX_WORKERS, "per_worker": PER_WORKER, **WINDOWS}
    return f"{path}/{server.post(path, {'name': 'curve', 'vendor_configuration': scaling})['id']}"


class Curve:
    def __init__(self, client: httpx.AsyncClient, deployment: str) -> None:
        self._client = client
        self._deployment = deployment
        self._callers: list[asyncio.Task[None]] = []
        self._began = time.monotonic()
        self.measured = Measured()

    def _now(self) -> float:
        return time.monotonic() - self._began

    async def run(self) -> Measured:
        looking = asyncio.create_task(self._look_on())
        wanted = 0
        running: list[asyncio.Event] = []
        for _, wanted, seconds in CURVE:
            while len(running) < wanted:
                running.append(asyncio.Event())
                self._callers.append(asyncio.create_task(self._call_on(running[-1])))
            while len(running) > wanted:
                running.pop().set()
            await asyncio.sleep(seconds)
        await asyncio.gather(*self._callers)
        looking.cancel()
        return self.measured

    async def _call_on(self, ended: asyncio.Event) -> None:
        path = f"/v4/models/{self._deployment.rpartition('/')[2]}/chat-completions"
        while not ended.is_set():
            began = self._now()
            answer = await self._client.post(path, json={"prompt": "one two three", "chat_history": []})
            self.measured.answers.append(Answer(began, self._now() - began, answer.status_code != 200))

    async def _look_on(self) -> None:
        while True:
            detail = (await self._client.get(self._deployment)).json()["status_detail"]
            callers = sum(not caller.done() for caller in self._callers)
            look = Look(self._now(), callers, detail["workers_wanted"], detail["workers_ready"])
            self.measured.looks.append(look)
            await asyncio.sleep(_LOOK_SECONDS)


async def measure(server: Server) -> Measured:
    deployment = deploy(server)
    async with httpx.AsyncClient(base_url=server.url, headers=server.headers, timeout=120) as client:
        # Its first worker proved that it can be ready; the curve begins where nobody has called for long.
        while (await client.get(deployment)).json()["status_detail"]["workers_ready"]:
            await asyncio.sleep(_LOOK_SECONDS)
        return await Curve(client, deployment).run()


def parts() -> list[tuple[str, int, float, float]]:
    """Name, callers, begin and end of each part of the curve, in seconds."""
    found, at = [], 0.0
    for name, callers, seconds in CURVE:
        found.append((name, callers, at, at + seconds))
        at += seconds
    return found


def rows(measured: Measured) -> list[list[str]]:
    lines = []
    for name, callers, begin, end in parts():
        looks = [look for look in measured.looks if begin <= look.at < end]
        answers = [answer for answer in measured.answers if begin <= answer.began < end]
        seconds = sorted(answer.seconds for answer in answers)
        lines.append(
            [
                name,
                f"{end - begin:g}",
                str(callers),
                f"{looks[0].ready} - {looks[-1].ready}",
                str(max(look.ready for look in looks)),
                str(len(answers)),
                str(sum(answer.failed for answer in answers)),
                f"{middle(seconds):.2f}" if seconds else "",
                f"{seconds[-1]:.2f}" if seconds else "",
            ]
        )
    return lines


def draw(measured: Measured, file: Path) -> None:
    at = [look.at for look in measured.looks]
    pyplot.rcParams.update({"svg.hashsalt": "modelyard", "font.size": 9, "axes.spines.top": False})
    figure, (load, workers, waiting) = pyplot.subplots(
        3, 1, figsize=(8, 6.4), sharex=True, height_ratios=(3, 3, 2), layout="constrained"
    )
    _steps(load, at, [look.ready * PER_WORKER for look in measured.looks], "#9bd3cd", "places on ready workers", True)
    _steps(load, at, [look.callers for look in measured.looks], "#00695c", "calls in flight and waiting")
    load.set_ylabel("calls")
    _steps(workers, at, [look.ready for look in measured.looks], "#9bd3cd", "ready", True)
    _steps(workers, at, [look.wanted for look in measured.looks], "#d84315", "wanted")
    workers.set_ylabel("workers")
    waiting.plot(
        [answer.began for answer in measured.answers],
        [answer.seconds for answer in measured.answers],
        linestyle="none",
        marker=".",
        markersize=4,
        color="#00695c",
        label="one call, by when it began",
    )
    waiting.axhline(8 * TOKEN_SECONDS, color="#999999", linewidth=0.8, label="what an answer takes by itself")
    waiting.set_ylabel("seconds to the answer")
    waiting.set_xlabel(
        f"seconds (up: mean of {WINDOWS['up_window_seconds']} s, down: mean of {WINDOWS['down_window_seconds']} s, "
        f"idle after {WINDOWS['idle_seconds']} s, per_worker {PER_WORKER})"
    )
    for axes in (load, workers, waiting):
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, at[-1])
        axes.spines.right.set_visible(False)
        axes.grid(axis="y", color="#eeeeee")
        axes.set_axisbelow(True)
        axes.legend(loc="upper right", frameon=False)
        for _, _, _, end in parts()[:-1]:
            axes.axvline(end, color="#cccccc", linewidth=0.6, linestyle=":")
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=110, facecolor="white")


def _steps(
    axes: pyplot.Axes, at: Sequence[float], values: Sequence[float], color: str, label: str, filled: bool = False
) -> None:
    if filled:
        axes.fill_between(at, values, step="post", color=color, label=label, linewidth=0)
    else:
        axes.step(at, values, where="post", color=color, label=label, linewidth=1.6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, default=PICTURE, help="where the picture goes (.svg or .png)")
    arguments = parser.parse_args()
    settings = {"MODELYARD_CATALOG__STARTERS": "false"}
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory), settings=settings) as server:
        measured = asyncio.run(measure(server))
    draw(measured, arguments.picture)
    print(machine())
    headings = ("part", "s", "callers", "ready", "most", "calls", "failed", "median s", "longest s")
    print(table(headings, rows(measured)))


if __name__ == "__main__":
    main()
