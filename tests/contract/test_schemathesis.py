"""Whatever fits the published description, and much that does not, gets an answer that the description promises."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import SecretStr
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig

from modelyard.http.app import create_app
from modelyard.main import composed
from modelyard.settings import Settings

BOUNDED = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
KEY = "my_test_administrator-key"

# It goes through every call there is, and may be the last test: what all tests shared is then taken down in its time.
pytestmark = pytest.mark.timeout(600)

load_all_checks()
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            # What fits the description may still contradict what is there: a template that nobody made, a name taken.
            "positive_data_acceptance": {"enabled": False},
            "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 413, 422, 503]},
        },
        "generation": {"allow-x00": True},
    }
)


class _Served:
    """The whole server, engines and all, in a thread of its own."""

    def __init__(self, configuration: Settings) -> None:
        self._configuration = configuration
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            parts = await stack.enter_async_context(composed(self._configuration))
            self._server = uvicorn.Server(
                uvicorn.Config(create_app(parts), port=0, log_level="warning", lifespan="off")
            )
            serving = asyncio.create_task(self._server.serve())
            while not self._server.started:
                await asyncio.sleep(0.01)
            self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
            self._started.set()
            await serving

    def __enter__(self) -> str:
        self._thread.start()
        assert self._started.wait(60)
        return self.url

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(60)


@pytest.fixture
def description(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    configuration = Settings(data_dir=tmp_path_factory.mktemp("schemathesis"), bootstrap_api_key=SecretStr(KEY))
    with _Served(configuration) as url:
        yield schemathesis.openapi.from_url(url + "/openapi.json", config=CONFIG)


def test_every_call_keeps_to_its_description(description: Any, subtests: pytest.Subtests) -> None:
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) > 30
    for operation in operations:
        with subtests.test(operation.label):
            _try(operation)


def _try(operation: schemathesis.APIOperation) -> None:
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    @BOUNDED
    def fits(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"x-api-key": KEY}, timeout=30)

    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @BOUNDED
    def does_not_fit(case: schemathesis.Case) -> None:
        case.call_and_validate(headers={"x-api-key": KEY}, timeout=30)

    fits()
    if operation.body or operation.query or operation.path_parameters:
        does_not_fit()
