"""What a call is admitted for: all that it asks, in however many parts."""

from collections.abc import Sequence

from modelyard.domain.accounts import IdentityType
from modelyard.domain.inference import ChatRequest, CompletionRequest, Message, NativeRequest
from modelyard.domain.limits import Admitted, Kind, Limit, Subject, Want
from modelyard.domain.usage import Verb
from modelyard.gateway.admission import Admission
from modelyard.gateway.metering import Call, estimate_request
from modelyard.testing.clock import START, FakeClock
from modelyard.testing.gateway import ACCOUNT, UsageList, make_caller, make_route

ONE = ChatRequest(messages=[Message("user", "How are you?")], max_tokens=50)


LIMIT = Limit(
    id="limit",
    account_id=ACCOUNT,
    created_at=START,
    created_by_user_id="u",
    created_by_identity_type=IdentityType.USER,
    name="tokens",
    subject=Subject.ACCOUNT,
    subject_id=ACCOUNT,
    bounds={Kind.TOKENS: 1000},
)


class Limiter:
    def __init__(self) -> None:
        self.wanted: list[Want] = []

    def limits_of(self, *ids: str) -> tuple[Limit, ...]:
        return (LIMIT,)

    async def admit(self, limits: Sequence[Limit], want: Want, max_wait: float) -> Admitted:
        self.wanted.append(want)
        return Admitted()


async def wanted_for(request: NativeRequest, *parts: NativeRequest) -> Want:
    limiter = Limiter()
    admission = Admission(limiter, lambda *_: None, 256, 0)
    call = Call(UsageList(), FakeClock(), make_caller(), ACCOUNT, make_route(), Verb.CHAT_COMPLETION, "r")
    call.request, call.parts = request, parts
    for _ in parts or (request,):
        await admission.admit(call)
    (want,) = limiter.wanted
    return want


async def test_one_request() -> None:
    assert (await wanted_for(ONE)).tokens == estimate_request(ONE) + 50


async def test_every_choice_of_a_call_counts_and_is_asked_for_once() -> None:
    assert (await wanted_for(ONE, ONE, ONE, ONE)).tokens == 3 * (estimate_request(ONE) + 50)
    long = CompletionRequest(prompts=["x" * 300], max_tokens=10)
    short = CompletionRequest(prompts=["x"], max_tokens=10)
    both = estimate_request(long) + estimate_request(short) + 20
    assert (await wanted_for(short, long, short)).tokens == both
