"""Ids of requests."""

import re

from modelyard.http.request_id import new_request_id


def test_later_ids_sort_after_earlier_ones_wherever_they_are_kept() -> None:
    moments = [0.0, 1_700_000_000.0, 1_700_000_000.001, 1_800_000_000.5, 4_000_000_000.0]
    ids = [new_request_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert new_request_id(1_700_000_000.0) < new_request_id() < new_request_id(10_000_000_000.0)


def test_ids_of_one_moment_differ_and_are_32_hexadecimal_digits() -> None:
    ids = {new_request_id(1_700_000_000.0) for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
