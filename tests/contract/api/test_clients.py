"""The official client in all its manners: synchronous, asynchronous, raw and streaming."""

from typing import Any

import pytest
import scale_gp
from api_server import KEY, Running
from scale_gp import AsyncSGPClient, SGPClient


async def test_the_asynchronous_client_walks_the_whole_path(
    async_client: AsyncSGPClient, fake_template: dict[str, Any], account: str, name: str
) -> None:
    template = await async_client.model_templates.create(**fake_template)
    model = await async_client.models.create(
        account_id=account, name=name, model_type="EMBEDDING", model_template_id=template.id
    )
    deployment = await async_client.models.deployments.create(model.id, name=name)
    assert deployment.status == "READY"
    assert name in [each.name async for each in async_client.model_templates.list()]
    assert name in [each.name async for each in async_client.models.list(model_type="EMBEDDING")]
    assert [each.id async for each in async_client.models.deployments.list(model.id)] == [deployment.id]
    usage = await async_client.models.deployments.usage_statistics.retrieve(
        deployment.id, chunks=2, start_date="2026-01-01", end_date="2026-01-02"
    )
    assert [point.summary_tokens for point in usage.data] == [0, 0]
    assert (await async_client.models.deployments.delete(deployment.id, model_instance_id=model.id)).success
    assert (await async_client.models.delete(model.id)).success
    assert (await async_client.model_templates.delete(template.id)).success


def test_raw_responses(client: SGPClient, model: dict[str, Any]) -> None:
    raw = client.models.with_raw_response.retrieve(model["id"])
    assert raw.status_code == 200
    assert raw.headers["x-request-id"]
    assert raw.parse().id == model["id"]
    listed = client.model_templates.with_raw_response.list(limit=1)
    assert len(listed.parse().items) == 1


def test_streaming_responses(client: SGPClient, model: dict[str, Any]) -> None:
    with client.models.with_streaming_response.retrieve(model["id"]) as streamed:
        assert streamed.parse().name == model["name"]
    with client.users.with_streaming_response.info() as streamed:
        assert b"".join(streamed.iter_bytes()).startswith(b"{")


async def test_asynchronous_raw_and_streaming_responses(async_client: AsyncSGPClient, model: dict[str, Any]) -> None:
    raw = await async_client.models.with_raw_response.retrieve(model["id"])
    assert (await raw.parse()).id == model["id"]
    async with async_client.models.with_streaming_response.retrieve(model["id"]) as streamed:
        assert (await streamed.parse()).id == model["id"]


def test_errors_arrive_as_the_client_s_own(client: SGPClient, server: Running) -> None:
    for bad, kind in (
        (lambda: client.models.retrieve("nowhere"), scale_gp.NotFoundError),
        (lambda: client.models.list(limit=10_001), scale_gp.UnprocessableEntityError),
        (lambda: client.with_options(api_key="wrong").models.list(), scale_gp.AuthenticationError),
        (lambda: client.models.delete(_starter(client)), scale_gp.PermissionDeniedError),
    ):
        with pytest.raises(kind) as raised:
            bad()
        response = raised.value.response
        assert response.json()["request_id"] == response.headers["x-request-id"]


def _starter(client: SGPClient) -> str:
    return next(model.id for model in client.models.list() if model.name == "all-minilm-l6-v2")


def test_without_an_account_reads_span_all_of_them(server: Running, model: dict[str, Any]) -> None:
    with SGPClient(base_url=server.url, api_key=KEY, max_retries=0, _strict_response_validation=True) as anyone:
        assert anyone.models.retrieve(model["id"]).name == model["name"]
