"""Usage records with all the boring fields filled in."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from msgspec.structs import replace

from modelyard.domain.usage import Outcome, UsageRecord, Verb


def make_usage(**changes: Any) -> UsageRecord:
    """One call, with an id of its own."""
    plain = UsageRecord(
        id=uuid4().hex,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        request_id="request",
        account_id="account",
        key_id="key",
        identity_id="identity",
        deployment_id="deployment",
        model_id="model",
        model_name="model name",
        verb=Verb.EMBEDDING,
        outcome=Outcome.OK,
        error_code=None,
        prompt_tokens=1,
        response_tokens=10,
        estimated=False,
        first_byte_seconds=0.25,
        total_seconds=0.5,
    )
    return replace(plain, **changes)
