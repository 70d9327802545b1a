"""What a route says of its deployment."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard import catalog
from modelyard.control.routes import route_of, table_of
from modelyard.domain.deployments import Deployment, DeploymentStatus, Observed, Phase
from modelyard.domain.models import Model
from modelyard.domain.routes import Route
from modelyard.domain.snapshots import snapshot_of
from modelyard.domain.templates import BundleConfig, EndpointProtocol, EndpointType, ModelType, Template
from modelyard.testing.deployments import ACCOUNT, NOW, deployment, target, worker

CARDS = catalog.load().cards
SIGNED: dict[str, Any] = {
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
    model_type=ModelType.CHAT_COMPLETION,
    endpoint_protocol=EndpointProtocol.SGP,
    bundle=BundleConfig(registry="local", image="mine", tag="1", command=("serve",)),
)
LLAMA = replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, registry="modelyard", image="llama-cpp"))
MODEL = Model(id="m", **SIGNED, name="model", model_type=ModelType.CHAT_COMPLETION, model_template_id="t")


def route(of: Deployment | None = None, template: Template = TEMPLATE, model: Model = MODEL) -> Route:
    return route_of(of or deployment(), model, template, {}, CARDS, NOW)


def test_only_ready_workers_are_endpoints_whatever_their_revision() -> None:
    workers = [
        worker("a"),
        worker("b", revision="old"),
        worker("c", Phase.DRAINING),
        worker("d", Phase.LOADING),
        worker("e", Phase.EXITED),
    ]
    assert [each.worker_id for each in route(deployment(workers)).endpoints] == ["a", "b"]


def test_a_failure_is_told_with_its_reason() -> None:
    failed = route(deployment(observed=Observed(generation=1, failures=1, failed_at=NOW, reason="no weights")))
    assert (failed.status, failed.reason) == (DeploymentStatus.UPDATE_FAILED, "no weights")


METADATA = {"modelDetails": {"token_context_window": 512}}


@pytest.mark.parametrize(
    ("template", "model", "deployed", "window"),
    [
        (TEMPLATE, {}, {}, None),
        (TEMPLATE, {"context_length": 4096}, {}, 4096),
        (TEMPLATE, {"context_length": 4096}, {"context_length": 1024}, 1024),
        (TEMPLATE, {"context_length": 0}, {}, None),
        (TEMPLATE, {"context_length": True}, {}, None),
        (LLAMA, {}, {}, 2048),  # the engine's own default
        (LLAMA, {"context_length": 8192}, {}, 8192),
    ],
)
def test_the_context_window_is_what_the_worker_was_told(
    template: Template, model: dict[str, Any], deployed: dict[str, Any], window: int | None
) -> None:
    made = replace(MODEL, model_creation_parameters=model)
    assert route(replace(deployment(), model_creation_parameters=deployed), template, made).context_window == window


def test_else_what_its_metadata_says() -> None:
    assert route(model=replace(MODEL, base_model_metadata=METADATA)).context_window == 512


@pytest.mark.parametrize(
    ("template", "streams"),
    [
        (TEMPLATE, False),
        (replace(TEMPLATE, endpoint_type=EndpointType.STREAMING), True),
        (replace(TEMPLATE, endpoint_protocol=EndpointProtocol.VLLM), True),
        (replace(TEMPLATE, endpoint_protocol=EndpointProtocol.COHERE), True),
        (LLAMA, True),
        (replace(LLAMA, model_type=ModelType.EMBEDDING), False),
    ],
)
def test_who_streams(template: Template, streams: bool) -> None:
    assert route(template=template).supports_streaming is streams


def test_a_chat_template_of_the_models_own_is_known() -> None:
    assert route().chat_template is None
    assert route(model=replace(MODEL, model_creation_parameters={"chat_template": "x"})).chat_template == "x"
    assert route(model=replace(MODEL, model_creation_parameters={"chat_template": ""})).chat_template is None


def test_models_without_a_template_have_no_route() -> None:
    bare = replace(MODEL, model_template_id=None)
    assert len(table_of([deployment()], {"m": bare}, {}, {}, CARDS, NOW)) == 0
    assert len(table_of([deployment(of=target())], {"m": MODEL}, {"t": TEMPLATE}, {}, CARDS, NOW)) == 1


def spoken(deployment_: Deployment, **snapshots: Template) -> list[str]:
    """The workers that calls go to, where each revision was made of another template."""
    kept = {("d", revision): snapshot_of(template, MODEL, {}) for revision, template in snapshots.items()}
    return [each.worker_id for each in route_of(deployment_, MODEL, TEMPLATE, kept, CARDS, NOW).endpoints]


def test_workers_that_are_spoken_to_differently_are_not_mixed() -> None:
    other = replace(TEMPLATE, bundle=replace(TEMPLATE.bundle, predict_route="/v2/predict"))
    half = deployment([worker("a", revision="old"), worker("b", revision="old"), worker("c")])
    assert spoken(half, old=TEMPLATE, new=other) == ["a", "b"]
    assert spoken(half, old=TEMPLATE, new=TEMPLATE) == ["a", "b", "c"]
    most = deployment([worker("a", revision="old"), worker("b"), worker("c")])
    assert spoken(most, old=TEMPLATE, new=other) == ["b", "c"]
    assert route_of(most, MODEL, TEMPLATE, {("d", "new"): snapshot_of(other, MODEL, {})}, CARDS, NOW).predict_route == (
        "/v2/predict"
    )
