"""What changed between revisions, and how each stands."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.domain.accounts import IdentityType
from modelyard.domain.deployments import Observed, Resources
from modelyard.domain.revisions import MASK, Author, Change, Revision, RevisionState, difference, good_before, state_of
from modelyard.domain.snapshots import Snapshot
from modelyard.domain.templates import BundleConfig, EndpointProtocol, ModelType
from modelyard.testing.deployments import NOW, deployment, target

BASE = Snapshot(
    model_type=ModelType.EMBEDDING,
    protocol=EndpointProtocol.SGP,
    streaming=False,
    bundle=BundleConfig("local", "mine", "1", command=("serve", "a"), env={"API_KEY": "old", "N": "1"}),
    resources=Resources(),
    parameters={"threads": 2, "max_tokens": 5},
    own_parameters={},
    own_resources={},
)


def test_what_changed_is_told_field_by_field() -> None:
    bundle = replace(BASE.bundle, command=("serve", "b"), env={"API_KEY": "new", "M": "2"})
    after = replace(BASE, bundle=bundle, parameters={"threads": 4, "max_tokens": 5}, resources=Resources(memory=10))
    assert difference(BASE, after) == [
        Change("bundle.command", ["serve", "a"], ["serve", "b"]),
        Change("bundle.env.API_KEY", MASK, MASK),
        Change("bundle.env.M", None, "2"),
        Change("bundle.env.N", "1", None),
        Change("parameters.threads", 2, 4),
        Change("resources.memory", None, 10),
    ]
    assert difference(BASE, BASE) == []


@pytest.mark.parametrize("name", ["HF_TOKEN", "api_key", "password", "AWS_SECRET_ACCESS_KEY", "KEY"])
def test_secrets_are_masked(name: str) -> None:
    [change] = difference(BASE, replace(BASE, parameters={**BASE.parameters, name: "s3cr3t"}))
    assert (change.before, change.after) == (None, MASK)


@pytest.mark.parametrize("name", ["max_tokens", "tokenizer", "keyboard", "author"])
def test_what_only_looks_like_one_is_not(name: str) -> None:
    changes = difference(BASE, replace(BASE, parameters={name: "shown"}))
    assert Change(f"parameters.{name}", BASE.parameters.get(name), "shown") in changes


def entry(number: int, revision: str, *, ready: bool = True) -> Revision:
    author = Author("u", IdentityType.USER)
    return Revision("d", number, revision, NOW, author, "created", BASE, NOW if ready else None)


S = RevisionState


@pytest.mark.parametrize(
    ("observed", "revisions", "states"),
    [
        ({"ready_revision": "b"}, "ab", [S.SUPERSEDED, S.SERVING]),
        ({"ready_revision": "a"}, "ab", [S.SERVING, S.ROLLING_OUT]),
        ({"ready_revision": "a", "failed_revision": "b"}, "ab", [S.SERVING, S.FAILED]),
        ({"ready_revision": None}, "b", [S.ROLLING_OUT]),
        ({"ready_revision": "b"}, "bab", [S.SUPERSEDED, S.SUPERSEDED, S.SERVING]),
    ],
)
def test_how_each_stands(observed: dict[str, Any], revisions: str, states: list[RevisionState]) -> None:
    given = deployment(of=target("b"), observed=Observed(generation=1, **observed))
    entries = [entry(number, revision) for number, revision in enumerate(revisions, 1)]
    numbers = {each.revision: each.number for each in entries}
    assert [state_of(each, given, numbers) for each in entries] == states


def test_going_back_leads_to_the_last_that_was_ready() -> None:
    entries = [entry(4, "d"), entry(3, "c", ready=False), entry(2, "b"), entry(1, "a")]
    found = good_before(entries, deployment(of=target("d")))
    assert found is not None
    assert found.number == 2
    assert good_before([entry(1, "d")], deployment(of=target("d"))) is None
