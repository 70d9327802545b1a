"""What is captured of an answer holds little memory, however much an account keeps."""

import pytest

from modelyard.domain.call_logs import CallLogSettings, Keeps
from modelyard.domain.usage import Verb
from modelyard.gateway.capturing import Capture
from modelyard.gateway.metering import Call
from modelyard.testing.clock import FakeClock
from modelyard.testing.gateway import ACCOUNT, UsageList, make_caller, make_route

MIB = 1024 * 1024


@pytest.mark.parametrize(("keeps", "held"), [(1024, 16 * 1024), (MIB, 4 * MIB)])
def test_an_answer_is_cut_where_it_is_far_longer_than_what_is_kept(keeps: int, held: int) -> None:
    with Call(UsageList(), FakeClock(), make_caller(), ACCOUNT, make_route(), Verb.EXECUTE, "r") as call:
        capture = Capture(call, "/x", b"asked", CallLogSettings(ACCOUNT, Keeps.ALL, max_body_bytes=keeps))
        for _ in range(6):
            capture.add(b"x" * MIB)
        assert capture.ended() is None
    captured = capture.ended()
    assert captured is not None
    assert (captured.size, captured.cut) == (len(b"asked") + held, True)
