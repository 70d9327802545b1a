"""GET /v4/call-logs: every call of the caller's accounts, and nobody else's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_server import Running

from modelyard.domain.call_logs import KeptBody, KeptCall
from modelyard.domain.usage import Outcome, UsageRecord
from modelyard.store.call_bodies import packed
from modelyard.testing.usage import make_usage

START = datetime(2025, 5, 1, tzinfo=UTC)


@pytest.fixture
def calls(server: Running, account: str, name: str) -> list[UsageRecord]:
    """Three calls of one model, ``name``; the last one failed. And one of another account."""
    records = [
        make_usage(
            started_at=START + timedelta(seconds=number),
            account_id=account,
            model_name=name,
            request_id=f"{name}-{number}",
            outcome=Outcome.ERROR if number == 2 else Outcome.OK,
            error_code="queue_full" if number == 2 else None,
            vendor="OPENAI",
            cost_nano=None if number == 1 else 1,
        )
        for number in range(3)
    ]

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            await tx.usage.add([*records, make_usage(started_at=START, account_id="foreign", model_name=name)])

    server.run(write())
    return records


def listed(http: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = http.get("/v4/call-logs", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_newest_first_in_pages(http: httpx.Client, calls: list[UsageRecord], name: str) -> None:
    page = listed(http, model_name=name, limit=2)
    assert [each["request_id"] for each in page["items"]] == [f"{name}-2", f"{name}-1"]
    assert (page["total_item_count"], page["current_page"], page["items_per_page"]) == (3, 1, 2)
    assert [each["request_id"] for each in listed(http, model_name=name, limit=2, page=2)["items"]] == [f"{name}-0"]
    oldest = listed(http, model_name=name, sort_by="created_at:asc", limit=1)["items"]
    assert oldest[0]["request_id"] == f"{name}-0"


def test_one_call(http: httpx.Client, calls: list[UsageRecord], name: str) -> None:
    [call] = listed(http, request_id=f"{name}-2")["items"]
    assert (call["outcome"], call["error_code"], call["vendor"]) == ("error", "queue_full", "OPENAI")
    assert (call["prompt_tokens"], call["response_tokens"], call["cost"]) == (1, 10, "0.000000001")
    assert call["created_at"] == "2025-05-01T00:00:02Z"
    [unpriced] = listed(http, request_id=f"{name}-1")["items"]
    assert [(each["cost"], each["unpriced"]) for each in (call, unpriced)] == [("0.000000001", False), (None, True)]
    again = http.get(f"/v4/call-logs/{call['id']}").json()
    assert {key: again[key] for key in call} == call


def test_filters_by_time_and_outcome(http: httpx.Client, calls: list[UsageRecord], name: str) -> None:
    assert listed(http, model_name=name, outcome="error")["total_item_count"] == 1
    assert listed(http, model_name=name, error_code="queue_full", verb="embedding")["total_item_count"] == 1
    span = {"start_date": "2025-05-01T00:00:01Z", "end_date": "2025-05-01T00:00:02Z"}
    assert listed(http, model_name=name, **span)["total_item_count"] == 1
    assert listed(http, model_name=name, account_id="foreign")["total_item_count"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"outcome": "so so"}, "outcome"),
        ({"verb": "sing"}, "verb"),
        ({"start_date": "2025-05-02", "end_date": "2025-05-01"}, "end_date"),
        ({"start_date": "yesterday"}, "start_date"),
        ({"sort_by": "cost:asc"}, "sort_by"),
        ({"shoe_size": "44"}, "shoe_size"),
        ({"page": "0"}, "page"),
    ],
)
def test_bad_queries_name_the_field(http: httpx.Client, query: dict[str, str], field: str) -> None:
    answer = http.get("/v4/call-logs", params=query)
    assert answer.status_code == 422
    assert any(field in problem["loc"] for problem in answer.json()["detail"])


def test_a_call_of_nobody(http: httpx.Client, name: str) -> None:
    for call_id in (name, "0" * 46, "f" * 46):
        answer = http.get(f"/v4/call-logs/{call_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, "call_not_found")


def settings_of(http: httpx.Client, account: str, **body: Any) -> httpx.Response:
    return http.put(f"/v4/accounts/{account}/call-log-settings", json=body)


def test_what_is_kept_of_calls_is_set_and_told(http: httpx.Client, account: str) -> None:
    path = f"/v4/accounts/{account}/call-log-settings"
    plain = {"account_id": account, "bodies": "none", "retention_days": 30, "redact": [], "max_body_bytes": 65536}
    assert settings_of(http, account).json() == plain
    wanted = {"bodies": "errors", "retention_days": 7, "redact": [r"\\d{16}"], "max_body_bytes": 1024}
    assert settings_of(http, account, **wanted).json() == {**plain, **wanted}
    told = http.get("/v4/audit-log", params={"entity_type": "call_log_settings", "entity_id": account, "limit": 1})
    assert (told.json()["items"][0]["action"], told.json()["items"][0]["after"]["bodies"]) == ("changed", "errors")
    assert http.get(path).json() == {**plain, **wanted}
    assert settings_of(http, account).json() == plain


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"bodies": "some"}, ["body", "bodies"]),
        ({"retention_days": 0}, ["body", "retention_days"]),
        ({"redact": ["("]}, ["body", "redact", 0]),
        ({"redact": ["x", "(?!y)"]}, ["body", "redact", 1]),
        ({"redact": ["x*"]}, ["body", "redact", 0]),
        ({"redact": ["x"] * 51}, ["body", "redact"]),
        ({"redact": ["x" * 513]}, ["body", "redact", 0]),
        ({"max_body_bytes": 2**30}, ["body", "max_body_bytes"]),
        ({"shoe_size": 44}, ["body", "shoe_size"]),
    ],
)
def test_bad_settings_name_the_field(http: httpx.Client, account: str, body: dict[str, Any], loc: list[Any]) -> None:
    answer = settings_of(http, account, **body)
    assert answer.status_code == 422
    assert loc in [problem["loc"] for problem in answer.json()["detail"]]


def test_content_is_shown_where_it_was_kept(
    http: httpx.Client, server: Running, calls: list[UsageRecord], name: str
) -> None:
    kept, bare = calls[0], calls[1]
    content = KeptCall(kept.id, kept.started_at, kept.account_id, "/v1/x", KeptBody("asked", True), KeptBody("told"))

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            await tx.call_bodies.add([packed(content)])

    server.run(write())
    by_id = {each["request_id"]: each["id"] for each in listed(http, model_name=name)["items"]}
    assert http.get(f"/v4/call-logs/{by_id[kept.request_id]}").json()["content"] == {
        "path": "/v1/x",
        "request": "asked",
        "request_truncated": True,
        "answer": "told",
        "answer_truncated": False,
    }
    assert http.get(f"/v4/call-logs/{by_id[bare.request_id]}").json()["content"] is None
    for record, code in ((kept, "call_truncated"), (bare, "call_not_kept")):
        answer = http.post(f"/v4/call-logs/{by_id[record.request_id]}/replay", json={"deployment": "d"})
        assert (answer.status_code, answer.json()["code"]) == (409, code)
