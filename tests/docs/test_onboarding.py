"""The tutorial for administrators is walked word by word: a real server, its commands in a shell, a fake vendor."""

import asyncio
import csv
import io
import os
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from fake_vendor import FakeVendor
from fake_vendor import serving as serving_vendor
from server_process import UNSET, environment, listening_url
from terminal import Terminal, answers, blocks_of

from modelyard import catalog

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "onboard-a-team.md"
SECRET = "sk-of-the-team"
BLOCKS = blocks_of(PAGE)


def block(words: str) -> str:
    """The only block with these words in it."""
    [found] = [each for each in BLOCKS if words in each]
    return found


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with serving_vendor(FakeVendor()) as running:
        yield running


@pytest.fixture
def env(tmp_path: Path, vendor: FakeVendor) -> dict[str, str]:
    """What is different from a reader's: where home is, which port is free, no weights to fetch, and no OpenAI."""
    return environment(
        tmp_path,
        HOME=str(tmp_path),
        XDG_DATA_HOME=UNSET,
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        MODELYARD_DATA_DIR=UNSET,
        MODELYARD_BOOTSTRAP_API_KEY=UNSET,
        MODELYARD_CATALOG__STARTERS="false",
        OPENAI_API_KEY=SECRET,
        OPENAI_BASE_URL=vendor.url,
    )


@pytest.fixture
def url(env: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Of the server that the page's first command starts."""
    log = tmp_path / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(shlex.split(BLOCKS[0]), env=env, stderr=out)
    try:
        yield listening_url(server, log, 0)
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture
def terminal(env: dict[str, str], url: str, tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path, {**env, "MODELYARD_URL": url})
    yield made
    made.close()


class Reader:
    """Goes through the page, and gives the server the time that reading takes."""

    def __init__(self, terminal: Terminal, url: str) -> None:
        self._terminal = terminal
        self._url = url
        self.printed: dict[str, str] = {}
        self._pauses = {
            block("call-log-settings"): self._settings_in_force,
            block('"gpt-5-mini", "messages"'): self._calls_logged,
            block("-X DELETE"): self._key_refused,
        }

    def read(self) -> None:
        for each in BLOCKS[1:]:
            self.printed[each] = self._terminal.run(each)
            if (pause := self._pauses.get(each)) is not None:
                pause()

    def said(self, words: str) -> str:
        """What the only block with these words in it printed."""
        return self.printed[block(words)]

    def _get(self, path: str, **query: str) -> httpx.Response:
        headers = {"x-api-key": self._terminal.value("MODELYARD_API_KEY")}
        return httpx.get(f"{self._url}{path}", params=query, headers=headers, timeout=60)

    def _settings_in_force(self) -> None:
        account = self._terminal.value("ACCOUNT")
        headers = {"x-api-key": self._terminal.value("MODELYARD_API_KEY"), "x-selected-account-id": account}

        def kept_and_limited() -> bool:
            path = f"{self._url}/v4/models/gpt-6-luna/chat-completions"
            answer = httpx.post(path, json={"prompt": "Hi", "max_tokens": 5}, headers=headers, timeout=60)
            until(lambda: self._logged(request_id=answer.headers["x-request-id"]) == 1)
            [call] = self._get("/v4/call-logs", request_id=answer.headers["x-request-id"]).json()["items"]
            kept = self._get(f"/v4/call-logs/{call['id']}").json()["content"] is not None
            return kept and "x-ratelimit-remaining-dollars-month" in answer.headers

        until(kept_and_limited)

    def _calls_logged(self) -> None:
        bob, indexer = self._terminal.value("BOB"), self._terminal.value("INDEXER")
        until(lambda: self._logged(identity_id=bob) == self._logged(identity_id=indexer) == 1)
        [call] = self._get("/v4/call-logs", identity_id=bob).json()["items"]
        until(lambda: self._get(f"/v4/call-logs/{call['id']}").json()["content"] is not None)

    def _key_refused(self) -> None:
        headers = {"x-api-key": self._terminal.value("INDEXER_KEY")}
        until(lambda: httpx.get(f"{self._url}/v1/models", headers=headers, timeout=60).status_code == 401)

    def _logged(self, **query: str) -> int:
        return int(self._get("/v4/call-logs", **query).json()["total_item_count"])


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def cost_of_a_call() -> Decimal:
    """11 tokens in, 4 of them cached, and 2 out, as the fake vendor counts; at the catalog's newest price."""
    [model] = [each for each in catalog.load().vendor_models if each.name == "gpt-6-luna"]
    price = max((each for each in model.prices if not each.prompt_above), key=lambda each: each.since)
    assert price.input
    assert price.output
    return 7 * price.input + 4 * (price.cached_input or price.input) + 2 * price.output


@pytest.mark.timeout(300)
async def test_an_administrator_gets_a_team_on_board(terminal: Terminal, url: str, vendor: FakeVendor) -> None:
    reader = Reader(terminal, url)
    await asyncio.to_thread(reader.read)
    refused = {words for words, printed in reader.printed.items() if '"code":' in printed}
    assert refused == {block('"gpt-5-mini", "messages"'), block("$MODELYARD_URL/v1/models")}, "as the page says"
    people_and_keys(reader, terminal)
    calls(reader, vendor)
    usage_and_cost(reader, terminal)
    call_log_and_replay(reader, vendor)
    end(reader, terminal)


def people_and_keys(reader: Reader, terminal: Terminal) -> None:
    [members] = answers(reader.said("ada@example.com"))
    assert {each["email"]: each["status"] for each in members["items"]} == {
        "admin@modelyard.invalid": "active",
        "ada@example.com": "invited",
        "bob@example.com": "invited",
    }
    [bob] = answers(reader.said("bob's laptop"))
    assert [(each["account"]["id"], each["role"]) for each in bob["access_profiles"]] == [
        (terminal.value("ACCOUNT"), "member")
    ]


def calls(reader: Reader, vendor: FakeVendor) -> None:
    first = reader.said("curl -sS -i")
    assert first.startswith("HTTP/1.1 200")
    assert "x-ratelimit-remaining-dollars-month: $49.9" in first
    assert answers(reader.said('"gpt-6-luna", "messages"'))[0]["choices"][0]["message"]["content"] == vendor.text
    assert answers(reader.said('"gpt-5-mini", "messages"'))[0]["error"]["code"] == "model_not_found"
    assert {each.headers["authorization"] for each in vendor.asked} == {f"Bearer {SECRET}"}


def usage_and_cost(reader: Reader, terminal: Terminal) -> None:
    [told] = answers(reader.said("group_by=identity_id"))
    lines = {each["identity_id"]: each for each in told["data"]}
    for name in ("BOB", "INDEXER"):
        line = lines[terminal.value(name)]
        assert (line["model_name"], line["calls"], line["errors"], line["unpriced_calls"]) == ("gpt-6-luna", 1, 0, 0)
        assert Decimal(line["cost"]) == cost_of_a_call()
    rows = list(csv.DictReader(io.StringIO(reader.said("format=csv").strip())))
    by_key = {row["key_id"]: row for row in rows}
    assert Decimal(by_key[terminal.value("INDEXER_KEY_ID")]["cost"]) == cost_of_a_call()


def call_log_and_replay(reader: Reader, vendor: FakeVendor) -> None:
    listed, one = answers(reader.said("call-logs/$CALL\n"))
    assert listed["total_item_count"] == 1
    assert "write to [redacted]" in one["content"]["request"]
    assert "bob@example.com" not in str(one)
    [both] = answers(reader.said("/replay"))
    assert both["logged"]["id"] == one["id"]
    assert both["replayed"]["status"] == 200
    assert vendor.text in both["replayed"]["answer"]
    assert vendor.asked[-1].body["model"] == "gpt-5-mini"


def end(reader: Reader, terminal: Terminal) -> None:
    assert answers(reader.said("$MODELYARD_URL/v1/models"))[0]["error"]["code"] == "invalid_api_key"
    [told] = answers(reader.said("/v4/audit-log"))
    done = [(each["action"], each["entity_type"]) for each in reversed(told["items"])]
    for each in ("account", "member", "api_key", "vendor_credential", "limit", "call_log_settings"):
        assert ("created", each) in done
    assert done[-1] == ("revoked", "api_key")
    for name in ("BOB_KEY", "INDEXER_KEY", "MODELYARD_API_KEY", "OPENAI_API_KEY"):
        assert terminal.value(name) not in str(told)
