"""From template, model and deployment to a worker's spec."""

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.domain.deployments import Resources, Worker
from modelyard.domain.models import Model
from modelyard.domain.parameters import LAUNCHER_VARIABLES, expand, expand_but, quoted
from modelyard.domain.snapshots import Snapshot, merged_parameters, resources, revision_of, snapshot_of
from modelyard.domain.specs import bound, scaling, worker_spec
from modelyard.domain.templates import (
    BundleConfig,
    EndpointConfig,
    EndpointProtocol,
    EndpointType,
    ModelType,
    Template,
)
from modelyard.testing.deployments import ACCOUNT, NOW, deployment

SIGNED = {
    "account_id": ACCOUNT,
    "created_at": NOW,
    "created_by_user_id": "u",
    "created_by_identity_type": "user",
}
TEMPLATE = Template(
    id="t",
    **SIGNED,
    name="template",
    endpoint_type=EndpointType.SYNC,
    model_type=ModelType.EMBEDDING,
    endpoint_protocol=EndpointProtocol.SGP,
    bundle=BundleConfig(
        registry="local",
        image="mine",
        tag="1",
        command=("serve", "--weights=${weights}", "--port", "${PORT}", "$$literal"),
        env={"CACHE": "/cache/${name:-none}", "URL": "http://${HOST}:${PORT}"},
    ),
)
MODEL = Model(
    id="m",
    **SIGNED,
    name="model",
    model_type=ModelType.EMBEDDING,
    model_template_id="t",
    model_creation_parameters={"weights": "hf:a/b", "threads": 2},
)
DEPLOYMENT = replace(deployment(), model_creation_parameters={"threads": 4})


def spec_of(template: Template = TEMPLATE, model: Model = MODEL, **env: str):
    snapshot = snapshot_of(template, model, DEPLOYMENT.model_creation_parameters, DEPLOYMENT.vendor_configuration)
    return worker_spec(snapshot, Worker("w1", DEPLOYMENT.id, DEPLOYMENT.target.revision, NOW), env=env)


def test_a_deployments_parameters_override_its_models() -> None:
    assert merged_parameters(MODEL, {"threads": 4}) == {"weights": "hf:a/b", "threads": 4}


def test_parameters_reach_command_and_environment() -> None:
    spec = bound(spec_of(), host="127.0.0.1", port=4711)
    assert spec.command == ("serve", "--weights=hf:a/b", "--port", "4711", "$literal")
    assert spec.env["threads"] == "4"
    assert spec.env["CACHE"] == "/cache/none"
    assert spec.env["URL"] == "http://127.0.0.1:4711"
    assert (spec.env["HOST"], spec.env["PORT"]) == ("127.0.0.1", "4711")


def test_values_are_never_read_as_references() -> None:
    model = replace(MODEL, model_creation_parameters={"weights": "${PORT} $$ ${HOST}"})
    spec = bound(spec_of(model=model), host="h", port=1)
    assert spec.env["weights"] == "${PORT} $$ ${HOST}"
    assert spec.command[1] == "--weights=${PORT} $$ ${HOST}"


@given(st.text(alphabet="${}:-$aPORT", max_size=30), st.text(alphabet="${}$aPORT", max_size=12))
def test_two_passes_are_as_one(text: str, value: str) -> None:
    values = {"a": value}
    launcher = {"PORT": "1", "HOST": "h"}
    assert expand(expand_but(text, values, LAUNCHER_VARIABLES), launcher) == expand(text, {**values, **launcher})


@given(st.text())
def test_quoted_text_comes_back_unchanged(text: str) -> None:
    assert expand(quoted(text), {"a": "b"}) == text


def test_only_bundles_of_ours_are_told_what_the_server_knows() -> None:
    ours = replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, registry="modelyard", image="llama-cpp", command=()))
    told = spec_of(ours, MODELYARD_WEIGHTS_DIR="/w")
    assert told.env["MODELYARD_WEIGHTS_DIR"] == "/w"
    assert told.env["MODELYARD_ENGINE"] == "llama-cpp"
    assert told.env["MODELYARD_HEALTH_ROUTE"] == "/readyz"
    foreign = spec_of(MODELYARD_WEIGHTS_DIR="/w")
    assert "MODELYARD_WEIGHTS_DIR" not in foreign.env
    assert foreign.env["MODELYARD_PREDICT_ROUTE"] == "/predict"


def test_a_streaming_endpoint_runs_its_streaming_command() -> None:
    bundle = replace(TEMPLATE.bundle, streaming_command=("stream",))
    assert spec_of(replace(TEMPLATE, bundle=bundle)).command[0] == "serve"
    streaming = replace(TEMPLATE, bundle=bundle, endpoint_type=EndpointType.STREAMING)
    assert spec_of(streaming).command == ("stream",)


# Revisions


def revision(template: Template = TEMPLATE, model: Model = MODEL, **parameters: str | int) -> str:
    return revision_of(snapshot_of(template, model, parameters))


def test_equal_things_have_equal_revisions() -> None:
    shuffled = replace(MODEL, model_creation_parameters=MappingProxyType({"threads": 2, "weights": "hf:a/b"}))
    frozen = replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, env=MappingProxyType(dict(TEMPLATE.bundle.env))))
    assert revision() == revision(frozen, shuffled)
    assert revision(threads=2) == revision()


CHANGES = {
    "image": replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, image="other")),
    "command": replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, command=("other",))),
    "env": replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, env={"A": "b"})),
    "health": replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, healthcheck_route="/health")),
    "memory": replace(TEMPLATE, endpoint=EndpointConfig(memory="8Gi")),
    "protocol": replace(TEMPLATE, endpoint_protocol=EndpointProtocol.VLLM),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_running_worker_cannot_change_is_a_new_revision(name: str) -> None:
    assert revision(CHANGES[name]) != revision()


def test_parameters_and_resources_of_a_deployment_are_part_of_it() -> None:
    assert revision(threads=3) != revision()
    assert revision_of(snapshot_of(TEMPLATE, MODEL, {}, {"cpus": 2})) != revision()


def test_scaling_numbers_names_and_patience_are_not() -> None:
    endpoint = EndpointConfig(min_workers=1, max_workers=9, per_worker=3, high_priority=True)
    patient = replace(TEMPLATE.bundle, readiness_initial_delay_seconds=600)
    assert revision(replace(TEMPLATE, endpoint=endpoint, bundle=patient, name="renamed")) == revision()
    assert revision_of(snapshot_of(TEMPLATE, MODEL, {}, {"min_workers": 2, "vendor": "LAUNCH"})) == revision()


# Scaling and resources


@pytest.mark.parametrize(
    ("endpoint", "vendor", "expected"),
    [
        (EndpointConfig(), {}, (0, 1, 10)),
        (EndpointConfig(min_workers=2, max_workers=3, per_worker=4), {}, (2, 3, 4)),
        (EndpointConfig(min_workers=2, max_workers=3), {"min_workers": 0, "max_workers": None}, (0, 3, 10)),
    ],
)
def test_scaling(endpoint: EndpointConfig, vendor: dict[str, object], expected: tuple[int, int, int]) -> None:
    assert scaling(replace(TEMPLATE, endpoint=endpoint), vendor) == expected


def test_resources_are_the_deployments_over_the_templates() -> None:
    template = replace(TEMPLATE, endpoint=EndpointConfig(cpus=2, memory="1Gi", gpus=1))
    assert resources(template, {"memory": "2Gi", "gpus": 0}) == Resources(cpus=2, memory=2 * 1024**3, gpus=0)
    assert resources(TEMPLATE) == Resources()


def test_what_has_no_secrets_keeps_the_fingerprint_of_before_there_were_any() -> None:
    bundle = BundleConfig("local", "a", "t", ("x",), {"A": "b"})
    args = (ModelType.EMBEDDING, EndpointProtocol.SGP, False)
    plain = Snapshot(*args, bundle, Resources(cpus=1), {"p": 1}, {}, {})
    assert revision_of(plain) == "2364a3b1bdcb", "as the version said that knew no secret_env: no worker rolls over"
    secretive = replace(plain, bundle=replace(bundle, secret_env={"X": "sealed"}))
    assert revision_of(secretive) != revision_of(plain)


def test_a_spec_does_not_show_its_environment() -> None:
    bundle = BundleConfig("local", "a", "t", ("x",), {"A": "plain ${p}"}, {"X": "sealed"})
    snapshot = Snapshot(ModelType.EMBEDDING, EndpointProtocol.SGP, False, bundle, Resources(), {"p": "1"}, {}, {})
    spec = worker_spec(snapshot, Worker("w", "d", "r", NOW), env={}, secrets={"X": "it costs ${p}"})
    final = bound(spec, host="h", port=1)
    assert (final.env["A"], final.env["X"]) == ("plain 1", "it costs ${p}")
    assert "costs" not in repr(final)
