"""Which deployment a path means, and that what a caller may not see looks like what is not there."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Role
from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.routes import Route, RouteTable
from modelyard.errors import Forbidden, InvalidRequest, NotFound
from modelyard.gateway.resolving import paying_account, resolve
from modelyard.testing.gateway import ACCOUNT, endpoints, make_caller, make_route

OTHER = "99999999-9999-4999-8999-999999999999"

MINE = make_route(deployment_id="mine", deployment_name="chat")
THEIRS = make_route(deployment_id="theirs", deployment_name="secret", account_id=OTHER)
BUILT_IN = make_route(
    deployment_id="built-in", deployment_name="default", model_name="smollm2", account_id=PLATFORM_ACCOUNT_ID
)
TABLE = RouteTable([MINE, THEIRS, BUILT_IN])
ME = make_caller()


@pytest.mark.parametrize(
    ("reference", "expected"), [("mine", MINE), ("chat", MINE), ("built-in", BUILT_IN), ("smollm2", BUILT_IN)]
)
def test_ids_and_names_are_found(reference: str, expected: object) -> None:
    assert resolve(TABLE, ME, reference) is expected


def test_unknown_and_invisible_look_alike() -> None:
    errors = []
    for reference in ("theirs", "nobody"):
        with pytest.raises(NotFound) as caught:
            resolve(TABLE, ME, reference)
        errors.append((caught.value.code, str(caught.value).replace(reference, "?")))
    assert errors[0] == errors[1]
    with pytest.raises(NotFound):
        resolve(TABLE, ME, "secret")


@pytest.mark.parametrize("reference", ["chat-model", MINE.model_id])
def test_a_model_of_ones_own_is_found_by_its_name_and_id(reference: str) -> None:
    assert resolve(TABLE, ME, reference) is MINE
    with pytest.raises(NotFound):
        resolve(RouteTable([MINE]), make_caller({OTHER: Role.MEMBER}), reference)


def test_a_model_is_called_through_its_newest_ready_deployment() -> None:
    def of(number: int, **changes: Any) -> Route:
        at = datetime(2026, 1, number, tzinfo=UTC)
        return make_route(deployment_id=f"d{number}", deployment_name=f"n{number}", created_at=at, **changes)

    failed, pending = DeploymentStatus.UPDATE_FAILED, DeploymentStatus.UPDATE_PENDING
    going = DeploymentStatus.DELETE_IN_PROGRESS
    for routes, expected in (
        ([of(1), of(3, status=failed), of(2)], "d2"),
        ([of(1, status=pending), of(2, status=pending)], "d2"),
        ([of(1, status=failed, endpoints=endpoints("http://x")), of(2, status=failed)], "d1"),
        ([of(1), of(2, status=going)], "d1"),
    ):
        assert resolve(RouteTable(routes), ME, "chat-model").deployment_id == expected
    with pytest.raises(NotFound):
        resolve(RouteTable([of(1, status=going)]), ME, "chat-model")


def test_a_deployments_name_goes_before_a_models() -> None:
    named = make_route(deployment_id="named", deployment_name="chat-model", model_name="other", model_id="other")
    assert resolve(RouteTable([MINE, named]), ME, "chat-model") is named


def test_a_built_in_model_is_not_what_somebody_made_of_it() -> None:
    made = make_route(
        deployment_id="made", deployment_name="own", model_name="smollm2", model_account_id=PLATFORM_ACCOUNT_ID
    )
    assert resolve(RouteTable([made, BUILT_IN]), ME, "smollm2") is BUILT_IN


def test_similar_names_that_one_may_see_are_told() -> None:
    with pytest.raises(NotFound, match=r"Did you mean 'smollm2'\?"):
        resolve(TABLE, ME, "smollm")
    with pytest.raises(NotFound) as caught:
        resolve(TABLE, ME, "secre")
    assert "secret" not in str(caught.value)


def test_the_selected_account_narrows() -> None:
    both = make_caller({ACCOUNT: Role.MEMBER, OTHER: Role.MEMBER})
    assert resolve(TABLE, both, "theirs", selected=OTHER) is THEIRS
    assert resolve(TABLE, both, "smollm2", selected=OTHER) is BUILT_IN
    for reference in ("mine", "chat"):
        with pytest.raises(NotFound):
            resolve(TABLE, both, reference, selected=OTHER)


def test_a_name_with_several_meanings_is_refused_with_their_ids() -> None:
    table = RouteTable([MINE, make_route(deployment_id="mine-2", deployment_name="chat", model_id="m2")])
    with pytest.raises(InvalidRequest, match="mine, mine-2"):
        resolve(table, ME, "chat")
    other = RouteTable([MINE, make_route(deployment_id="b", deployment_name="chat", account_id=OTHER)])
    both = make_caller({ACCOUNT: Role.MEMBER, OTHER: Role.MEMBER})
    with pytest.raises(InvalidRequest, match="b, mine"):
        resolve(other, both, "chat")
    assert resolve(other, both, "chat", selected=ACCOUNT) is MINE


def test_ones_own_name_goes_before_a_built_in_one() -> None:
    own = make_route(deployment_id="own", deployment_name="smollm2")
    assert resolve(RouteTable([own, BUILT_IN]), ME, "smollm2") is own


def test_the_model_in_the_path_must_be_the_deployments() -> None:
    assert resolve(TABLE, ME, "mine", model=MINE.model_id) is MINE
    assert resolve(TABLE, ME, "mine", model=MINE.model_name) is MINE
    with pytest.raises(NotFound):
        resolve(TABLE, ME, "mine", model="another")


def test_a_viewer_may_see_but_not_call() -> None:
    with pytest.raises(Forbidden):
        resolve(TABLE, make_caller({ACCOUNT: Role.VIEWER}), "mine")
    with pytest.raises(NotFound):
        resolve(TABLE, make_caller({ACCOUNT: Role.DISABLED}), "mine")


def test_what_is_being_deleted_is_not_there() -> None:
    table = RouteTable([make_route(deployment_id="mine", status=DeploymentStatus.DELETE_IN_PROGRESS)])
    for reference in ("mine", "chat"):
        with pytest.raises(NotFound):
            resolve(table, ME, reference)


def test_who_pays() -> None:
    both = make_caller({OTHER: Role.MEMBER, ACCOUNT: Role.MEMBER})
    assert paying_account(both, MINE, None) == ACCOUNT
    assert paying_account(both, MINE, OTHER) == OTHER
    assert paying_account(both, BUILT_IN, None) == OTHER, "the first account, where the deployment is in none"
    assert paying_account(make_caller({}), BUILT_IN, None) == PLATFORM_ACCOUNT_ID


def test_a_name_is_looked_up_within_the_model_that_is_named() -> None:
    ours = [make_route(deployment_id=f"d{n}", deployment_name="main", model_id=f"m{n}") for n in range(2)]
    caller = make_caller()
    assert resolve(RouteTable(ours), caller, "main", model="m1").deployment_id == "d1"
    with pytest.raises(InvalidRequest):
        resolve(RouteTable(ours), caller, "main")
