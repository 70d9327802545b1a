"""Model servers in the route table: which name means what, and how calls are shared."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.domain.accounts import IdentityType, Role
from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.routes import Route, RouteTable
from modelyard.domain.servers import Backend, ModelServer
from modelyard.errors import Forbidden, InvalidRequest, NotFound, Unavailable
from modelyard.gateway.resolving import resolve, resolve_server
from modelyard.testing.gateway import ACCOUNT, make_caller, make_route

OTHER = "99999999-9999-4999-8999-999999999999"
ME = make_caller()


def server(*backends: Backend, **changes: Any) -> ModelServer:
    plain = {"id": "s", "account_id": ACCOUNT, "name": "Shown", "alias": "stable"}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelServer(
        created_at=at,
        created_by_user_id="u",
        created_by_identity_type=IdentityType.USER,
        backends=backends or (Backend("a"),),
        **{**plain, **changes},
    )


def route(id: str, **changes: Any) -> Route:
    return make_route(deployment_id=id, deployment_name=f"name-{id}", **changes)


A, B = route("a"), route("b")


@pytest.mark.parametrize("reference", ["s", "stable", "Shown"])
def test_a_server_is_found_by_id_alias_and_name(reference: str) -> None:
    assert resolve(RouteTable([A, B], [server()]), ME, reference) is A


def test_by_its_own_paths_a_server_is_found_by_id_or_by_alias_alone() -> None:
    table = RouteTable([A], [server()])
    assert resolve_server(table, ME, "s") is A
    assert resolve_server(table, ME, "stable", by_alias=True) is A
    for reference, by_alias in (("a", False), ("stable", False), ("Shown", True), ("s", True)):
        with pytest.raises(NotFound):
            resolve_server(table, ME, reference, by_alias=by_alias)
    with pytest.raises(NotFound, match="Did you mean 'stable'"):
        resolve_server(table, ME, "stabel", by_alias=True)
    with pytest.raises(NotFound) as caught:
        resolve_server(table, ME, "stabel", by_alias=True, selected="another account")
    assert caught.value.hint is None


def test_an_alias_goes_before_names_of_deployments_models_and_servers() -> None:
    named = route("named", model_name="stable", model_id="m")
    also = make_route(deployment_id="also", deployment_name="stable")
    other = server(Backend("also"), id="other", name="stable", alias=None)
    table = RouteTable([A, named, also], [other, server()])
    assert resolve(table, ME, "stable") is A
    # A path that names a model and one of its deployments means that deployment.
    assert resolve(table, ME, "stable", model=also.model_id) is also


def test_servers_of_others_are_not_there() -> None:
    table = RouteTable([route("a", account_id=OTHER)], [server(account_id=OTHER)])
    for reference in ("s", "stable", "Shown"):
        with pytest.raises(NotFound):
            resolve(table, ME, reference)
    with pytest.raises(NotFound):
        resolve_server(table, ME, "s")
    with pytest.raises(NotFound):
        resolve_server(RouteTable([A], [server()]), make_caller({ACCOUNT: Role.MEMBER}), "s", selected=OTHER)
    with pytest.raises(Forbidden):
        resolve_server(RouteTable([A], [server()]), make_caller({ACCOUNT: Role.VIEWER}), "s")


def test_one_alias_in_two_accounts_needs_an_account() -> None:
    both = make_caller({ACCOUNT: Role.MEMBER, OTHER: Role.MEMBER})
    table = RouteTable(
        [A, route("b", account_id=OTHER)], [server(), server(Backend("b"), id="t", account_id=OTHER, name="x")]
    )
    for look in (lambda: resolve(table, both, "stable"), lambda: resolve_server(table, both, "stable", by_alias=True)):
        with pytest.raises(InvalidRequest, match="s, t"):
            look()
    assert resolve(table, both, "stable", selected=ACCOUNT) is A


@given(st.lists(st.integers(0, 50), min_size=1, max_size=10).filter(any))
def test_calls_are_shared_by_weight_exactly(weights: list[int]) -> None:
    routes = [route(f"r{number}") for number in range(len(weights))]
    backends = [Backend(f"r{number}", weight) for number, weight in enumerate(weights)]
    table = RouteTable(routes, [server(*backends)])
    total = sum(weights)
    counted = Counter(
        resolve(table, ME, "stable", draw=lambda point=point: (point + 0.5) / total).deployment_id
        for point in range(total)
    )
    assert [counted[f"r{number}"] for number in range(len(weights))] == weights


def test_a_backend_that_fails_or_goes_gets_no_calls_while_another_is_there() -> None:
    backends = (Backend("a", 1), Backend("b", 99))
    for b in (route("b", hopeless=True), route("b", status=DeploymentStatus.DELETE_IN_PROGRESS)):
        table = RouteTable([A, b], [server(*backends)])
        assert {resolve(table, ME, "stable", draw=lambda at=at: at / 10).deployment_id for at in range(10)} == {"a"}
    # Alone it gets them, and says what is wrong with it.
    dead = route("b", hopeless=True)
    assert resolve(RouteTable([dead], [server(*backends)]), ME, "stable") is dead


def test_a_server_brings_its_own_fallbacks_before_those_of_the_models_behind_it() -> None:
    routes = [
        route("a", fallbacks=("m",)),
        route("b"),
        route("x", fallbacks=("a", "y")),
        *(route(each) for each in ("y", "z", "m")),
        route("going", status=DeploymentStatus.DELETE_IN_PROGRESS),
    ]
    behind = (Backend("a", 3), Backend("b", 1), Backend("z", 0))
    table = RouteTable(routes, [server(*behind, fallbacks=("going", "x", "gone"))])
    assert resolve(table, ME, "stable", draw=lambda: 0.0).fallbacks == ("b", "x", "y", "m")
    assert resolve(table, ME, "stable", draw=lambda: 0.9).fallbacks == ("a", "x", "y", "m")
    # Who calls the deployment itself is none of the server's callers.
    assert resolve(table, ME, "a").fallbacks == ("m",)


def test_a_server_with_nothing_behind_it_is_its_fallbacks() -> None:
    table = RouteTable([B, route("c")], [server(Backend("gone"), fallbacks=("nowhere", "b", "c"))])
    found = resolve(table, ME, "stable")
    assert (found.deployment_id, found.fallbacks) == ("b", ("c",))


def test_a_server_with_nothing_behind_it_says_so() -> None:
    with pytest.raises(Unavailable, match="no deployment behind it any more") as caught:
        resolve(RouteTable([B], [server()]), ME, "stable")
    assert caught.value.code == "no_backend"
