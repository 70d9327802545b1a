from pathlib import Path

import pytest

from modelyard.domain.deployments import Phase
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.errors import ConfigurationError
from modelyard.weights.progress import FetchPhase, Progress
from modelyard.worker import config
from modelyard.worker.status import StatusFile
from modelyard.worker.weights import describe

ENVIRON = {"PORT": "9000", "MODELYARD_ENGINE": "fake", "MODELYARD_MODEL_TYPE": "EMBEDDING"}


def test_three_variables_are_enough() -> None:
    read = config.read(ENVIRON)
    assert (read.engine, read.model_type, read.port, read.host) == ("fake", ModelType.EMBEDDING, 9000, "127.0.0.1")
    assert (read.health_route, read.predict_route) == ("/readyz", "/predict")
    assert read.streaming_predict_route == "/generate_streaming"
    assert read.protocol is EndpointProtocol.SGP
    assert read.status_file is None


def test_everything_else_may_be_said() -> None:
    read = config.read(
        ENVIRON
        | {
            "HOST": "0.0.0.0",
            "MODELYARD_PROTOCOL": "VLLM",
            "MODELYARD_HEALTH_ROUTE": "/health",
            "MODELYARD_WEIGHTS_DIR": "/srv/weights",
            "MODELYARD_WORKER_STATUS": "/run/status.json",
            "MODELYARD_WEIGHTS__HF_TOKEN": "hf_secret",
            "MODELYARD_WEIGHTS__MIN_FREE_BYTES": "5",
        }
    )
    assert (read.host, read.protocol, read.health_route) == ("0.0.0.0", EndpointProtocol.VLLM, "/health")
    assert (read.weights_dir, read.status_file) == (Path("/srv/weights"), Path("/run/status.json"))
    assert read.weights.hf_token is not None
    assert read.weights.min_free_bytes == 5
    assert "hf_secret" not in repr(read)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"PORT": ""}, "PORT is not set"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"PORT": "70000"}, "from 1 to 65535"),
        ({"MODELYARD_ENGINE": ""}, "MODELYARD_ENGINE is not set"),
        ({"MODELYARD_MODEL_TYPE": "EMBED"}, "MODELYARD_MODEL_TYPE is 'EMBED'.*EMBEDDING"),
        ({"MODELYARD_PROTOCOL": "GRPC"}, "MODELYARD_PROTOCOL is 'GRPC'"),
        ({"MODELYARD_PREDICT_ROUTE": "predict"}, "starts with '/'"),
        ({"MODELYARD_WEIGHTS__MIN_FREE_BYTES": "-1"}, "MODELYARD_WEIGHTS__MIN_FREE_BYTES"),
    ],
)
def test_the_variable_at_fault_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        config.read(ENVIRON | change)


def test_the_status_file_is_always_whole(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    status = StatusFile(path)
    status.write(Phase.PULLING, "half")
    assert path.read_bytes() == b'{"phase":"pulling","detail":"half"}'
    status.write(Phase.EXITED, 'he said "no"')
    assert path.read_bytes() == b'{"phase":"exited","detail":"he said \\"no\\""}'
    assert list(tmp_path.iterdir()) == [path]


def test_a_status_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    StatusFile(tmp_path / "missing" / "status.json").write(Phase.READY)
    StatusFile(None).write(Phase.READY)


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("hf:o/r/f", 0, None, FetchPhase.WAITING), "waiting hf:o/r/f"),
        (Progress("hf:o/r/f", 41_900_000, 98_400_000, FetchPhase.DOWNLOADING), "downloading hf:o/r/f: 42 % of 98.4 MB"),
        (Progress("hf:o/r/f", 1_000, None, FetchPhase.DOWNLOADING), "downloading hf:o/r/f: 1.0 kB"),
    ],
)
def test_progress_in_words(progress: Progress, words: str) -> None:
    assert describe(progress) == words
