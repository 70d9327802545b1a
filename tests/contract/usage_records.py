"""Usage records as the gateway writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from api_server import Running

from modelyard.domain.usage import Outcome, UsageRecord, Verb

START = datetime(2026, 3, 1, tzinfo=UTC)


def use(
    server: Running, deployment: dict[str, Any], model_name: str, account: str, *moments: tuple[float, int]
) -> None:
    """Calls at so many seconds after START, each with so many prompt tokens and one response token."""
    records = [
        UsageRecord(
            id=str(uuid4()),
            started_at=START + timedelta(seconds=seconds),
            request_id="r",
            account_id=account,
            key_id="k",
            identity_id="i",
            deployment_id=deployment["id"],
            model_id=deployment["model_instance_id"],
            model_name=model_name,
            verb=Verb.EMBEDDING,
            outcome=Outcome.OK,
            error_code=None,
            prompt_tokens=tokens,
            response_tokens=1,
            estimated=False,
            first_byte_seconds=0.1,
            total_seconds=0.2,
        )
        for seconds, tokens in moments
    ]

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            await tx.usage.add(records)

    server.run(write())
