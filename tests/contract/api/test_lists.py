"""Lists: pages, order, filters, and what is refused."""

from typing import Any

import httpx
import pytest
from scale_gp import SGPClient

LISTS = ["/v4/model-templates", "/v4/models", "/v4/model-deployments"]


@pytest.fixture
def made(http: httpx.Client, template: dict[str, Any], account: str, name: str) -> list[dict[str, Any]]:
    """Five models, the oldest first."""
    body = {"account_id": account, "model_type": "EMBEDDING", "model_template_id": template["id"]}
    return [
        http.post("/v4/models", json={**body, "name": f"{name}-{letter}", "description": name}).json()
        for letter in "cabed"
    ]


def test_newest_first_page_by_page(client: SGPClient, made: list[dict[str, Any]]) -> None:
    ids = [model["id"] for model in made]
    first = client.models.list(limit=2)
    assert [model.id for model in first.items] == [ids[4], ids[3]]
    assert [model.id for model in client.models.list(limit=2, page=2).items] == [ids[2], ids[1]]
    walked = [model.id for model in client.models.list(limit=2)]
    assert walked[:5] == ids[::-1]
    assert len(walked) == len(set(walked))


def test_an_envelope_counts(http: httpx.Client, made: list[dict[str, Any]]) -> None:
    answer = http.get("/v4/models", params={"page": 2, "limit": 3}).json()
    assert (answer["current_page"], answer["items_per_page"]) == (2, 3)
    assert answer["total_item_count"] >= 5
    assert len(answer["items"]) == 3


def test_a_page_past_the_end_is_empty(http: httpx.Client) -> None:
    for path in LISTS:
        answer = http.get(path, params={"page": 10**9, "limit": 10_000}).json()
        assert answer["items"] == []
        assert answer["total_item_count"] > 0


def test_sorting_by_several_fields(client: SGPClient, http: httpx.Client, made: list[dict[str, Any]]) -> None:
    def mine(models: Any) -> list[str]:
        return [model.name[-1] for model in models if model.description == made[0]["description"]]

    assert mine(client.models.list(sort_by=["model_type:desc", "name:asc"])) == list("abcde")
    assert mine(client.models.list(sort_by=["name:desc"])) == list("edcba")
    repeated = http.get("/v4/models", params={"sort_by": ["description:asc", "name:desc"], "limit": 10_000}).json()
    assert [each["name"][-1] for each in repeated["items"] if each["description"] == made[0]["description"]] == list(
        "edcba"
    )


def test_every_order_that_the_client_knows(http: httpx.Client) -> None:
    from typing import get_args, get_type_hints

    from scale_gp.types import model_list_params
    from scale_gp.types.models import deployment_list_params

    for path, params in (
        ("/v4/models", model_list_params.ModelListParams),
        ("/v4/model-deployments", deployment_list_params.DeploymentListParams),
    ):
        orders = get_args(get_args(get_type_hints(params)["sort_by"])[0])
        assert len(orders) > 20
        for order in orders:
            answer = http.get(path, params={"sort_by": order, "limit": 1})
            assert answer.status_code == 200, (order, answer.text)


def test_filters(client: SGPClient, http: httpx.Client, account: str, made: list[dict[str, Any]]) -> None:
    assert {model.model_type for model in client.models.list(model_type="RERANKING")} == {"RERANKING"}
    assert {model.account_id for model in client.models.list(account_id=account)} == {account}
    assert list(client.models.list(account_id="nowhere")) == []
    assert list(client.models.list(model_group_id="nowhere")) == []
    assert {each.account_id for each in client.model_templates.list(account_id=account)} <= {account}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"page": "one"}, "page"),
        ({"page": str(10**30)}, "page"),
        ({"limit": "0"}, "limit"),
        ({"limit": "10001"}, "limit"),
        ({"limit": "1.5"}, "limit"),
        ({"sort_by": "colour:asc"}, "sort_by"),
        ({"sort_by": "name:up"}, "sort_by"),
        ({"sort_by": ":asc"}, "sort_by"),
        ({"sort_by": "name:asc,"}, "sort_by"),
        ({"colour": "red"}, "colour"),
        ({"account_id": "a\x00b"}, "account_id"),
    ],
)
def test_what_is_wrong_with_a_query_is_named(http: httpx.Client, path: str, query: dict[str, str], field: str) -> None:
    answer = http.get(path, params=query)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["query", field]


def test_an_unknown_type_is_named(http: httpx.Client) -> None:
    answer = http.get("/v4/models", params={"model_type": "POEM"})
    assert answer.status_code == 422
    assert "CHAT_COMPLETION" in answer.json()["detail"][0]["msg"]


def test_a_parameter_that_is_no_list_is_given_once(http: httpx.Client) -> None:
    refused = http.get("/v4/models", params=[("account_id", "a"), ("account_id", "b")])
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["query", "account_id"]
    assert http.get("/v4/models", params=[("sort_by", "name:asc"), ("sort_by", "id:desc")]).status_code == 200
