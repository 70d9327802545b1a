"""Who is asked instead, and in which order."""

from modelyard.domain.fallbacks import in_order


def test_nearest_first_and_theirs_after_each() -> None:
    own = {"a": ["b", "c"], "b": ["d"], "c": ["e"]}
    assert in_order(own, "a") == ("b", "d", "c", "e")
    assert in_order(own, "b") == ("d",)
    assert in_order(own, "e") == ()


def test_circles_end() -> None:
    own = {"a": ["b"], "b": ["a", "c"], "c": ["b", "c"]}
    assert in_order(own, "a") == ("b", "c")
