"""Usage statistics, from records written as the gateway writes them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_server import Running
from scale_gp import SGPClient
from usage_records import START, use


@pytest.fixture
def deployment(http: httpx.Client, model: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    return made


def test_slices_add_up_to_the_edge(
    server: Running, client: SGPClient, model: dict[str, Any], deployment: dict[str, Any], account: str
) -> None:
    use(
        server,
        deployment,
        model["name"],
        account,
        (0, 1),
        (3599.999999, 2),
        (3600, 4),
        (7200, 8),
        (-0.000001, 99),
        (10_800, 99),
    )
    usage = client.models.deployments.usage_statistics.retrieve(
        deployment["id"], chunks=3, start_date=START, end_date=START + timedelta(hours=3)
    )
    assert [point.prompt_tokens for point in usage.data] == [3, 4, 8]
    assert [point.response_tokens for point in usage.data] == [2, 1, 1]
    assert [point.summary_tokens for point in usage.data] == [5, 5, 9]
    assert [point.date for point in usage.data] == [START + timedelta(hours=hour) for hour in range(3)]
    assert (usage.start_date, usage.end_date) == (usage.data[0].date, usage.data[-1].date)


def test_a_model_s_usage_is_found_by_its_name(
    server: Running,
    client: SGPClient,
    http: httpx.Client,
    model: dict[str, Any],
    deployment: dict[str, Any],
    account: str,
) -> None:
    use(server, deployment, model["name"], account, (1, 5))
    end = START + timedelta(hours=1)
    for name in (model["name"], model["id"]):
        usage = client.models.usage_statistics.retrieve(name, chunks=1, start_date=START, end_date=end)
        assert [point.prompt_tokens for point in usage.data] == [5]
    assert http.delete(f"/v4/models/{model['id']}/deployments/{deployment['id']}").status_code == 200
    assert http.delete(f"/v4/models/{model['id']}").status_code == 200
    after = client.models.usage_statistics.retrieve(model["name"], chunks=1, start_date=START, end_date=end)
    assert after.data[0].prompt_tokens == 5
    nothing = client.models.usage_statistics.retrieve(model["name"], chunks=1, start_date=end, end_date="2026-03-02")
    assert nothing.data[0].prompt_tokens == 0


def test_a_name_may_have_slashes(
    server: Running, http: httpx.Client, template: dict[str, Any], account: str, name: str
) -> None:
    body = {
        "account_id": account,
        "name": f"lab/{name}",
        "model_type": "EMBEDDING",
        "model_template_id": template["id"],
    }
    model = http.post("/v4/models", json=body).json()
    use(server, {"id": "gone", "model_instance_id": model["id"]}, model["name"], account, (1, 5))
    span = {"chunks": 1, "start_date": "2026-03-01", "end_date": "2026-03-02"}
    for spelt in (model["name"], model["name"].replace("/", "%2F")):
        answer = http.get(f"/v4/models/{spelt}/usage-statistics", params=span)
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"][0]["prompt_tokens"] == 5
    unknown = http.get(f"/v4/models/lab/{name}/nobody/usage-statistics", params=span)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "model_not_found")


def test_of_a_built_in_deployment_everybody_sees_their_own_calls(
    server: Running, client: SGPClient, http: httpx.Client, account: str
) -> None:
    everything = http.get("/v4/model-deployments", params={"limit": 10_000}).json()["items"]
    built_in = next(each for each in everything if each["name"] == "all-minilm-l6-v2")
    use(server, built_in, "all-minilm-l6-v2", account, (1, 5))
    use(server, built_in, "all-minilm-l6-v2", str(uuid4()), (1, 70))
    end = START + timedelta(hours=1)
    of_deployment = client.models.deployments.usage_statistics.retrieve(
        built_in["id"], chunks=1, start_date=START, end_date=end
    )
    of_model = client.models.usage_statistics.retrieve("all-minilm-l6-v2", chunks=1, start_date=START, end_date=end)
    assert of_deployment.data[0].prompt_tokens == of_model.data[0].prompt_tokens == 5


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-03-01T00:00:00Z", START),
        ("2026-03-01T00:00:00", START),
        ("2026-03-01", START),
        ("2026-03-01 00:00:00", START),
        ("2026-03-01T02:00:00%2B02:00", START),
        ("2026-03-01T02:00:00+02:00", START),
        ("2026-03-01T02:00+0200", START),
        ("2026-03-01T02:00:00+02", START),
        ("2026-02-28T19:00:00-05:00", START),
        ("2026-03-01T05:45:00+05:45", START),
        ("2026-03-01%2002:00:00+02:00", START),
        ("2026-03-01T00:00:00.000001Z", START + timedelta(microseconds=1)),
    ],
)
def test_any_time_zone(http: httpx.Client, deployment: dict[str, Any], text: str, meant: datetime) -> None:
    path = f"/v4/model-deployments/{deployment['id']}/usage-statistics"
    answer = http.get(f"{path}?chunks=1&start_date={text}&end_date=2026-04-01")
    assert answer.status_code == 200, answer.text
    assert datetime.fromisoformat(answer.json()["start_date"]) == meant


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("chunks=0&start_date=2026-01-01&end_date=2026-01-02", "chunks"),
        ("chunks=10001&start_date=2026-01-01&end_date=2026-01-02", "chunks"),
        ("start_date=2026-01-01&end_date=2026-01-02", "chunks"),
        ("chunks=1&start_date=yesterday&end_date=2026-01-02", "start_date"),
        ("chunks=1&start_date=2026-01-01&end_date=2026-13-02", "end_date"),
        ("chunks=1&start_date=2026-01-02&end_date=2026-01-01", "end_date"),
        ("chunks=1&start_date=2026-01-01&end_date=2026-01-01", "end_date"),
        ("chunks=1&start_date=0001-01-01T00:00:00%2B14:00&end_date=2026-01-02", "start_date"),
        ("chunks=1&start_date=2026-01-01&end_date=9999-12-31T23:59:59-14:00", "end_date"),
        ("chunks=1&start_date=2026-01-01", "end_date"),
    ],
)
def test_what_is_wrong_with_a_span_is_named(
    http: httpx.Client, deployment: dict[str, Any], query: str, field: str
) -> None:
    for path in (f"/v4/model-deployments/{deployment['id']}", "/v4/models/all-minilm-l6-v2"):
        answer = http.get(f"{path}/usage-statistics?{query}")
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"][0]["loc"] == ["query", field]


def test_the_widest_span(http: httpx.Client, deployment: dict[str, Any]) -> None:
    path = f"/v4/model-deployments/{deployment['id']}/usage-statistics"
    answer = http.get(path, params={"chunks": 10_000, "start_date": "0001-01-01", "end_date": "9999-12-31"})
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 10_000
