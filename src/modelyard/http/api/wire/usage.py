"""Usage on the wire: the official client's ``usage_statistic_retrieve_params`` and ``model_usage``."""

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from modelyard.described import Described
from modelyard.domain.usage import MAX_CHUNKS
from modelyard.http.api.wire.common import Answer

Moment = Annotated[str, StringConstraints(min_length=8, max_length=64), Field(examples=["2026-11-01T00:00:00Z"])]


class UsageQuery(Described):
    model_config = ConfigDict(extra="forbid", frozen=True)

    chunks: Annotated[int, Field(ge=1, le=MAX_CHUNKS)]
    """How many equal slices to cut the time into."""
    start_date: Moment
    """ISO 8601; without a time zone it is UTC."""
    end_date: Moment


class UsagePoint(Answer):
    date: datetime
    """When the slice begins; it ends where the next begins."""
    prompt_tokens: int
    response_tokens: int
    summary_tokens: int
    """Both together."""


class UsageAnswer(Answer):
    data: list[UsagePoint]
    start_date: datetime
    """The first slice's date."""
    end_date: datetime
    """The last slice's date."""
