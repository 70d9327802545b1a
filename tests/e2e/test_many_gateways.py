"""A server of several processes: one socket, one controller, and whoever dies takes nothing with it."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from server_process import Server, Start
from test_server_life import chat, client, deployed, eventually

pytestmark = pytest.mark.timeout(480)


@pytest.fixture
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    return start_server(tmp_path_factory.mktemp("many") / "data", MODELYARD_GATEWAYS="2")


def pids(server: Server, role: str) -> set[int]:
    return {int(path.stem.rpartition("-")[2]) for path in server.run_files(role)}


def calls(server: Server, deployment: str, count: int, key: str | None = None) -> list[int]:
    """The status of each of ``count`` calls, each on a connection of its own, eight at a time."""

    def call(_: int) -> int:
        with client(server) as api:
            if key is not None:
                api.headers["x-api-key"] = key
            return chat(api, deployment).status_code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(call, range(count)))


def counted(server: Server) -> int:
    with httpx.Client(base_url=server.url) as api:
        text = api.get("/metrics").text
    return sum(int(float(value)) for value in re.findall(r"^modelyard_calls_total\{.*\} (\S+)", text, re.MULTILINE))


def prompt_tokens(server: Server, deployment: str) -> int:
    span = {"chunks": 1, "start_date": "2026-01-01T00:00:00Z", "end_date": "2100-01-01T00:00:00Z"}
    with client(server) as api:
        usage = api.get(f"/v4/model-deployments/{deployment}/usage-statistics", params=span).raise_for_status().json()
    return int(usage["data"][0]["prompt_tokens"])


def test_gateways_share_the_work_and_its_numbers(server: Server) -> None:
    with client(server) as api:
        deployment = deployed(api)
        tokens = chat(api, deployment).json()["prompt_tokens"]
    assert len(pids(server, "gateway")) == 2
    assert set(calls(server, deployment, 40)) == {200}
    assert eventually(lambda: prompt_tokens(server, deployment) == 41 * tokens)
    assert eventually(lambda: counted(server) == 41)
    with client(server) as api:
        account = api.get("/user-info").json()["access_profiles"][0]["account"]["id"]
        made = api.post("/v4/api-keys", json={"account_id": account, "name": "leaves", "role": "member"}).json()
        assert set(calls(server, deployment, 16, made["key"])) == {200}, "every gateway knows the key"
        assert api.delete(f"/v4/api-keys/{made['id']}").status_code == 200
    assert eventually(lambda: set(calls(server, deployment, 16, made["key"])) == {401}, 30)


def test_whoever_is_killed_is_replaced_and_calls_go_on(server: Server) -> None:
    with client(server) as api:
        deployment = deployed(api)
    gateways, (controller,) = pids(server, "gateway"), pids(server, "controller")
    workers = {worker.pid for worker in server.workers()}
    for victim in (next(iter(gateways)), controller):
        os.kill(victim, signal.SIGKILL)
        assert set(calls(server, deployment, 16)) == {200}

    def replaced() -> bool:
        there = {pid for role in ("gateway", "controller") for pid in pids(server, role) if psutil.pid_exists(pid)}
        return len(there - gateways - {controller}) == 2 and len(there) == 3

    assert eventually(replaced)
    assert {worker.pid for worker in server.workers()} == workers
    with client(server) as api:
        # the new controller controls
        deployments = api.get("/v4/model-deployments").raise_for_status().json()["items"]
        (own,) = [each for each in deployments if each["id"] == deployment]
        path = f"/v4/models/{own['model_instance_id']}/deployments/{deployment}"
        assert api.patch(path, json={"vendor_configuration": {"min_workers": 2, "max_workers": 2}}).status_code == 200
        assert eventually(lambda: api.get(path).json()["status_detail"]["workers_ready"] == 2)
    assert server.stop() == 0
    assert not server.workers()
    assert not server.run_files()


def test_without_their_supervisor_the_others_go_on_until_the_next_server_takes_their_place(
    server: Server, start_server: Start
) -> None:
    with client(server) as api:
        deployment = deployed(api)
    workers = {worker.pid for worker in server.workers()}
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    assert set(calls(server, deployment, 16)) == {200}

    left = pids(server, "")
    port = httpx.URL(server.url).port
    again = start_server(server.data_dir, MODELYARD_GATEWAYS="2", MODELYARD_PORT=str(port))
    assert again.url == server.url
    assert set(calls(again, deployment, 16)) == {200}
    assert {worker.pid for worker in again.workers()} == workers
    assert eventually(lambda: not any(map(psutil.pid_exists, left)))
    assert again.stop() == 0
    assert not again.workers()
