"""Usage records as the gateway writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from api_server import Running

from modelyard.testing.usage import make_usage

START = datetime(2026, 3, 1, tzinfo=UTC)


def use(
    server: Running, deployment: dict[str, Any], model_name: str, account: str, *moments: tuple[float, int]
) -> None:
    """Calls at so many seconds after START, each with so many prompt tokens and one response token."""
    records = [
        make_usage(
            started_at=START + timedelta(seconds=seconds),
            account_id=account,
            deployment_id=deployment["id"],
            model_id=deployment["model_instance_id"],
            model_name=model_name,
            prompt_tokens=tokens,
            response_tokens=1,
        )
        for seconds, tokens in moments
    ]

    async def write() -> None:
        async with server.parts.store.begin() as tx:
            await tx.usage.add(records)

    server.run(write())
