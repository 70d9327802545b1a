"""Who is asked instead, and in which order."""

from modelyard.domain.fallbacks import Node, circle, in_order, of_server


def test_nearest_first_and_theirs_after_each() -> None:
    own = {"a": ["b", "c"], "b": ["d"], "c": ["e"]}
    assert in_order(own, "a") == ("b", "d", "c", "e")
    assert in_order(own, "b") == ("d",)
    assert in_order(own, "e") == ()


def test_circles_end() -> None:
    own = {"a": ["b"], "b": ["a", "c"], "c": ["b", "c"]}
    assert in_order(own, "a") == ("b", "c")


def test_a_long_way_is_walked_to_its_end() -> None:
    own = {str(number): [str(number + 1)] for number in range(5000)}
    assert len(in_order(own, "0")) == 5000


def test_through_a_server_those_behind_it_come_first_then_its_own_then_theirs() -> None:
    own = {"a": ("m",), "b": ("n", "a"), "x": ("x2", "a")}
    assert of_server("a", ("a", "b"), ("x", "y"), own) == ("b", "x", "x2", "y", "m", "n")
    assert of_server("a", ("a",), (), own) == ("m",)


def model(name: str, *leads_to: str) -> Node:
    return Node(name, leads_to, frozenset(name))


def server(name: str, behind: str, *leads_to: str) -> Node:
    return Node(name, leads_to, frozenset(behind))


def test_a_model_that_leads_back_to_itself_is_a_circle() -> None:
    assert circle([model("a", "b"), model("b", "c"), model("c", "x", "a")], "c") == ("a", "b", "c", "a")
    assert circle([model("a", "a")], "a") == ("a", "a")
    assert circle([model("a", "b", "c"), model("b", "c"), model("c", "d")], "a") is None


def test_a_server_that_leads_back_to_what_is_behind_it_is_a_circle() -> None:
    nodes = [server("S", "ab", "x"), model("x", "y"), model("y", "b")]
    for changed in ("S", "x", "y"):
        assert circle(nodes, changed) == ("S", "x", "y", "b")
    # A change of something else closed none.
    assert circle([*nodes, model("b", "z")], "b") is None
    assert circle([server("S", "a", "a")], "S") == ("S", "a")


def test_two_servers_may_back_each_other_up() -> None:
    assert circle([server("S", "a", "b"), server("T", "b", "a")], "T") is None
