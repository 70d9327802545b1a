"""GET /v4/usage: any cut adds up to the token and to the billionth of a dollar."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, cast

import httpx
import msgspec
import pytest
from api_server import Running

from modelyard.control.usage.reports import Line, Report, Reports, _whole_hours
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.deployments import Phase, Worker
from modelyard.domain.rollups import SUMS
from modelyard.domain.usage import Outcome
from modelyard.http.api.convert.reports import answer, as_csv
from modelyard.http.api.wire.reports import ReportQuery
from modelyard.settings import CostSettings
from modelyard.store import Store
from modelyard.store.worker_time import Spent
from modelyard.testing.clock import FakeClock
from modelyard.testing.usage import make_usage

START = datetime(2025, 3, 1, tzinfo=UTC)
SPAN = {"start_date": "2025-03-01", "end_date": "2025-03-03"}


@pytest.fixture
def used(server: Running, account: str, name: str) -> str:
    """Calls of one model, ``name``: three by one key, one of them failed; one by another, a day later, unpriced."""
    records = [
        make_usage(started_at=START, key_id="a", cost_nano=1, total_seconds=0.1, cached_tokens=1, reasoning_tokens=3),
        make_usage(started_at=START + timedelta(minutes=59), key_id="a", cost_nano=2_000_000_000, total_seconds=0.1),
        make_usage(started_at=START + timedelta(hours=2), key_id="a", outcome=Outcome.ERROR, cost_nano=0),
        make_usage(started_at=START + timedelta(days=1), key_id="=b", estimated=True),
    ]
    whole = [
        msgspec.structs.replace(record, account_id=account, model_name=name, vendor="OPENAI") for record in records
    ]

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            await tx.usage.add(whole)

    server.run(write())
    return name


def report(http: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = http.get("/v4/usage", params={**SPAN, **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_whole_and_its_parts(http: httpx.Client, used: str) -> None:
    whole = report(http, model_name=used)
    assert len(whole["data"]) == 1
    line = whole["total"]
    assert line == whole["data"][0]
    assert (line["calls"], line["errors"], line["prompt_tokens"], line["response_tokens"]) == (4, 1, 4, 40)
    assert (line["cached_tokens"], line["reasoning_tokens"]) == (1, 3)
    assert (line["cost"], line["unpriced_calls"], line["estimated_calls"]) == ("2.000000001", 1, 1)
    by_key = report(http, model_name=used, group_by="key_id")["data"]
    assert [(each["key_id"], each["calls"]) for each in by_key] == [("a", 3), ("=b", 1)]
    assert [each["cost"] for each in by_key] == ["2.000000001", None], "what is not known is not zero"
    assert Decimal(by_key[0]["cost"]) == Decimal(line["cost"])
    two = report(http, model_name=used, group_by=["key_id", "outcome"])["data"]
    assert sorted((each["key_id"], each["outcome"], each["calls"]) for each in two) == [
        ("=b", "ok", 1),
        ("a", "error", 1),
        ("a", "ok", 2),
    ]


def test_over_time(http: httpx.Client, used: str) -> None:
    hours = report(http, model_name=used, interval="hour")["data"]
    assert [(each["date"], each["calls"]) for each in hours] == [
        ("2025-03-01T00:00:00Z", 2),
        ("2025-03-01T02:00:00Z", 1),
        ("2025-03-02T00:00:00Z", 1),
    ]
    days = report(http, model_name=used, interval="day", group_by="key_id")["data"]
    assert [(each["date"][:10], each["key_id"], each["calls"]) for each in days] == [
        ("2025-03-01", "a", 3),
        ("2025-03-02", "=b", 1),
    ]


def test_weeks_begin_on_mondays(server: Running, http: httpx.Client, account: str, name: str) -> None:
    moments = [datetime(2025, 3, day, hour, tzinfo=UTC) for day, hour in ((2, 23), (3, 0), (6, 0), (9, 23), (10, 0))]

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            await tx.usage.add([make_usage(started_at=at, account_id=account, model_name=name) for at in moments])

    server.run(write())
    weeks = report(http, model_name=name, interval="week", end_date="2025-03-12")["data"]
    assert [(each["date"], each["calls"]) for each in weeks] == [
        ("2025-02-24T00:00:00Z", 1),
        ("2025-03-03T00:00:00Z", 3),
        ("2025-03-10T00:00:00Z", 1),
    ]


@pytest.fixture
def at_turns(server: Running, account: str, name: str) -> str:
    """Calls of one model in the year in which Berlin's clocks were moved on 30 March and 26 October, at 01:00 UTC."""
    moments = (
        *((3, 29, 22), (3, 29, 23), (3, 30, 21), (3, 30, 22)),  # summer begins on a day of 23 hours
        *((10, 25, 21), (10, 25, 22), (10, 26, 0), (10, 26, 1), (10, 26, 22), (10, 26, 23)),  # and ends on one of 25
        *((10, 31, 22), (10, 31, 23)),
    )
    records = [
        make_usage(started_at=datetime(2025, *at, tzinfo=UTC), account_id=account, model_name=name) for at in moments
    ]

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            await tx.usage.add(records)

    server.run(write())
    return name


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            {"interval": "day", "start_date": "2025-03-29", "end_date": "2025-10-28"},
            [
                ("2025-03-29T00:00:00+01:00", 1),
                ("2025-03-30T00:00:00+01:00", 2),
                ("2025-03-31T00:00:00+02:00", 1),
                ("2025-10-25T00:00:00+02:00", 1),
                ("2025-10-26T00:00:00+02:00", 4),
                ("2025-10-27T00:00:00+01:00", 1),
            ],
        ),
        (
            {"interval": "week", "start_date": "2025-10-20", "end_date": "2025-10-29"},
            [("2025-10-20T00:00:00+02:00", 5), ("2025-10-27T00:00:00+01:00", 1)],
        ),
        (
            {"interval": "month", "start_date": "1971-01-01", "end_date": "9999-12-31"},
            [("2025-03-01T00:00:00+01:00", 4), ("2025-10-01T00:00:00+02:00", 7), ("2025-11-01T00:00:00+01:00", 1)],
        ),
        (
            {"interval": "hour", "start_date": "2025-10-26", "end_date": "2025-10-26T03:00"},
            [("2025-10-26T00:00:00+02:00", 1), ("2025-10-26T02:00:00+02:00", 1), ("2025-10-26T02:00:00+01:00", 1)],
        ),
    ],
)
def test_days_weeks_and_months_are_those_of_clocks_somewhere(
    http: httpx.Client, at_turns: str, query: dict[str, str], expected: list[tuple[str, int]]
) -> None:
    lines = report(http, model_name=at_turns, timezone="Europe/Berlin", **query)["data"]
    assert [(each["date"], each["calls"]) for each in lines] == expected


def test_months_without_a_place_are_those_of_utc(http: httpx.Client, at_turns: str) -> None:
    lines = report(http, model_name=at_turns, interval="month", end_date="2025-12-01", group_by="model_name")["data"]
    told = [(each["date"], each["calls"]) for each in lines]
    assert told == [("2025-03-01T00:00:00Z", 4), ("2025-10-01T00:00:00Z", 8)]


def test_dates_without_an_offset_are_those_of_the_place(http: httpx.Client, at_turns: str) -> None:
    answer = report(http, timezone="Europe/Berlin", start_date="2025-03-30", end_date="2025-03-31T00:00Z")
    assert (answer["start_date"], answer["end_date"]) == ("2025-03-30T00:00:00+01:00", "2025-03-31T02:00:00+02:00")


def test_times_are_rounded_to_hours_outwards_and_told(http: httpx.Client, used: str) -> None:
    query = {"start_date": "2025-03-01T01:30:00+01:00", "end_date": "2025-03-01T02:00:00.5Z"}
    told = report(http, model_name=used, **query)
    assert (told["start_date"], told["end_date"]) == ("2025-03-01T00:00:00Z", "2025-03-01T03:00:00Z")
    assert told["total"]["calls"] == 3


def test_latency_is_told_within_its_class(http: httpx.Client, used: str) -> None:
    line = report(http, model_name=used, key_id="a", outcome="ok")["total"]
    assert 0.05 < line["seconds_p50"] < line["seconds_p95"] < line["seconds_p99"] <= 0.128


def test_csv_has_a_head_and_no_formulas(http: httpx.Client, used: str) -> None:
    answer = http.get("/v4/usage", params={**SPAN, "model_name": used, "group_by": "key_id", "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["key_id"], row["calls"], row["cost"]) for row in rows] == [
        ("a", "3", "2.000000001"),
        ("'=b", "1", ""),
    ]
    assert answer.headers["x-usage-truncated"] == "false"
    cut = http.get("/v4/usage", params={**SPAN, "model_name": used, "group_by": "key_id", "format": "csv", "limit": 1})
    assert (len(cut.text.splitlines()), cut.headers["x-usage-truncated"]) == (2, "true")


def test_csv_has_all_the_lines_that_there_can_be() -> None:
    span = {"start_date": "2026-01-01", "end_date": "2026-02-01"}
    assert ReportQuery(**span, format="csv").most == 10_000
    assert ReportQuery(**span).most == 1000
    assert ReportQuery(**span, format="csv", limit=3).most == 3


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"])
def test_no_cell_is_a_formula(name: str) -> None:
    line = Line(None, {"model_name": name}, dict.fromkeys([*SUMS, "errors"], 0), Decimal(0), (None, None, None))
    report = Report(START, START, [line], line, [], truncated=False)
    [row] = csv.DictReader(io.StringIO(as_csv(report), newline=""))
    assert row["model_name"] == f"'{name}"
    assert {row["calls"], row["cost"]} == {"0"}


@pytest.mark.parametrize("cost", ["12345678901.000000001", "0.000000001"])
def test_money_is_told_to_the_last_digit(cost: str) -> None:
    line = Line(None, {}, dict.fromkeys([*SUMS, "errors"], 0), Decimal(cost), (None, None, None))
    report = Report(START, START, [line], line, [], truncated=False)
    [row] = csv.DictReader(io.StringIO(as_csv(report), newline=""))
    assert row["cost"] == answer(report).total.cost == cost


def test_hours_are_those_of_utc_wherever_a_moment_was_told() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    start, end = datetime(2025, 3, 1, 5, 30, tzinfo=there), datetime(2025, 3, 1, 7, 0, tzinfo=there)
    assert _whole_hours(start, end) == (START, START + timedelta(hours=2))


def test_more_lines_than_the_limit_are_said_to_be_there(http: httpx.Client, used: str) -> None:
    told = report(http, model_name=used, group_by="key_id", limit=1)
    assert ([each["key_id"] for each in told["data"]], told["truncated"]) == (["a"], True)
    assert told["total"]["calls"] == 4


def test_nothing_is_nothing(http: httpx.Client) -> None:
    told = report(http, model_name="nobody calls this", group_by="key_id")
    assert (told["data"], told["total"]["calls"], told["total"]["seconds_p50"]) == ([], 0, None)


def test_what_others_used_is_not_told(server: Running, http: httpx.Client, used: str, name: str) -> None:
    other = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    made = http.post("/v4/api-keys", json={"account_id": other, "name": name, "role": "admin"})
    with httpx.Client(base_url=server.url, headers={"x-api-key": made.json()["key"]}) as stranger:
        assert report(stranger, model_name=used)["total"]["calls"] == 0


@pytest.mark.parametrize(
    ("query", "loc"),
    [
        ({"start_date": "2025-03-03", "end_date": "2025-03-01"}, ["query", "end_date"]),
        ({"start_date": "yesterday!"}, ["query", "start_date"]),
        ({"start_date": "1969-01-01"}, ["query", "start_date"]),
        ({"interval": "year"}, ["query", "interval"]),
        ({"timezone": "Mars"}, ["query", "timezone"]),
        ({"timezone": "Europe"}, ["query", "timezone"]),
        ({"timezone": "../etc/passwd"}, ["query", "timezone"]),
        ({"timezone": "Asia/Kolkata", "interval": "day"}, ["query", "timezone"]),
        ({"timezone": "Asia/Kolkata", "interval": "month"}, ["query", "timezone"]),
        ({"limit": 1_000_000}, ["query", "limit"]),
        ({"group_by": "color"}, ["query", "group_by", 0]),
        ({"chunks": 3}, ["query", "chunks"]),
    ],
)
def test_bad_input_names_the_field(http: httpx.Client, query: dict[str, Any], loc: list[Any]) -> None:
    answer = http.get("/v4/usage", params={**SPAN, **query})
    assert answer.status_code == 422
    assert loc in [error["loc"] for error in answer.json()["detail"]]


def test_workers_are_told_by_their_time(
    server: Running, http: httpx.Client, account: str, model: dict[str, Any], name: str
) -> None:
    def worker(id_: str) -> Worker:
        return Worker(id=id_, deployment_id=name, revision="r", phase=Phase.READY, created_at=START)

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            for id_, gpus in ((f"{name}-1", 0), (f"{name}-2", 0), (f"{name}-3", 2)):
                await tx.worker_time.begin(worker(id_), account, model["id"], gpus)
                await tx.worker_time.begin(worker(id_), account, model["id"], gpus)
            await tx.worker_time.end([f"{name}-1", f"{name}-3"], START + timedelta(minutes=30))
            await tx.worker_time.end([f"{name}-1"], START + timedelta(hours=9))
            # The clock was set back while it was there.
            late = replace(worker(f"{name}-4"), created_at=START + timedelta(minutes=30))
            await tx.worker_time.begin(late, account, model["id"], 0)
            await tx.worker_time.end([late.id], START + timedelta(minutes=10))

    server.run(write())
    for more in ({}, {"vendor": ""}, {"account_id": account, "model_id": model["id"]}, {"model_name": model["name"]}):
        told = report(http, deployment_id=name, end_date="2025-03-01T01:00:00", **more)["workers"]
        assert [(each["gpus"], each["seconds"]) for each in told] == [(0, 5400.0), (2, 1800.0)], more
    for other in ({"vendor": "OPENAI"}, {"model_name": "another"}, {"verb": "embedding"}, {"key_id": "k"}):
        assert report(http, deployment_id=name, **other)["workers"] == [], other
    told = report(http, deployment_id=name, end_date="2025-03-01T01:00:00")["workers"]
    assert [(each["gpus"], each["seconds"], each["cost"]) for each in told] == [(0, 5400.0, None), (2, 1800.0, None)]


def test_the_end_of_time_is_an_end(http: httpx.Client) -> None:
    for end in ("9999-12-31T23:30:00", "9999-12-31T23:59:59.999999Z"):
        assert report(http, model_name="nobody calls this", end_date=end)["total"]["calls"] == 0


@pytest.mark.parametrize(
    ("rates", "gpus", "cost"),
    [
        ({}, 2, None),
        ({"gpu_hour": "2.5"}, 0, None),
        ({"gpu_hour": "2.5"}, 2, "2.5"),
        ({"worker_hour": "0.3"}, 0, "0.15"),
        ({"worker_hour": "0.3", "gpu_hour": "2.5"}, 2, "2.65"),
        ({"worker_hour": "0"}, 0, "0"),
        ({"worker_hour": "0.000001"}, 0, "0.0000005"),
    ],
)
def test_half_an_hour_of_a_worker_costs_what_is_set_and_is_unknown_otherwise(
    rates: dict[str, str], gpus: int, cost: str | None
) -> None:
    settings = CostSettings(**rates)  # type: ignore[arg-type]
    reports = Reports(cast("Store", None), FakeClock(), settings)
    found = reports._cost(Spent("a", "d", "m", gpus, 1800.0))
    assert found == (None if cost is None else Decimal(cost))


def test_workers_of_built_in_models_are_told_to_administrators(
    server: Running, http: httpx.Client, account: str, name: str
) -> None:
    async def write() -> None:
        async with server.parts.store.begin() as tx:
            worker = Worker(id=name, deployment_id=name, revision="r", phase=Phase.READY, created_at=START)
            await tx.worker_time.begin(worker, PLATFORM_ACCOUNT_ID, "m", 0)
            await tx.worker_time.end([name], START + timedelta(minutes=1))

    server.run(write())
    assert [each["seconds"] for each in report(http, deployment_id=name)["workers"]] == [60.0]
    made = http.post("/v4/api-keys", json={"account_id": account, "name": name, "role": "admin"}).json()
    for headers in ({"x-api-key": made["key"]}, {**http.headers, "x-selected-account-id": account}):
        with httpx.Client(base_url=server.url, headers=headers) as other:
            assert report(other, deployment_id=name)["workers"] == []
