"""One server for all tests of this folder, and clients of it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_server import KEY, Running, serving
from scale_gp import AsyncSGPClient, SGPClient

from modelyard.control.people.bootstrap import ACCOUNT_ID


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of this folder, in a thread of its own: clients are real clients."""
    with serving(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
def account() -> str:
    return ACCOUNT_ID


@pytest.fixture(scope="session")
def client(server: Running) -> Iterator[SGPClient]:
    """The official client, which believes nothing that does not fit its types. It never repeats a call by itself."""
    with SGPClient(
        base_url=server.url, api_key=KEY, account_id=ACCOUNT_ID, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


@pytest.fixture
async def async_client(server: Running) -> AsyncIterator[AsyncSGPClient]:
    async with AsyncSGPClient(
        base_url=server.url, api_key=KEY, account_id=ACCOUNT_ID, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


@pytest.fixture(scope="session")
def http(server: Running) -> Iterator[httpx.Client]:
    """Bare HTTP, as the administrator."""
    with httpx.Client(base_url=server.url, headers={"x-api-key": KEY}, timeout=30) as made:
        yield made


@pytest.fixture
def name() -> str:
    """A name nobody has yet: the tests of this folder share one server."""
    return f"n-{uuid4().hex[:12]}"


@pytest.fixture
def fake_template(account: str, name: str) -> dict[str, Any]:
    """What a template of the fake engine is made from."""
    return {
        "account_id": account,
        "name": name,
        "endpoint_type": "SYNC",
        "model_type": "EMBEDDING",
        "endpoint_protocol": "SGP",
        "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "latest"}},
        "model_creation_parameters_schema": {
            "parameters": [{"name": "fake_fail", "type": "str", "description": "Fail with this.", "required": False}]
        },
    }


@pytest.fixture
def template(http: httpx.Client, fake_template: dict[str, Any]) -> dict[str, Any]:
    """A template of the fake engine."""
    answer = http.post("/v4/model-templates", json=fake_template)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def model(http: httpx.Client, template: dict[str, Any], account: str, name: str) -> dict[str, Any]:
    """A model of that template, without deployments."""
    body = {"account_id": account, "name": name, "model_type": "EMBEDDING", "model_template_id": template["id"]}
    answer = http.post("/v4/models", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
