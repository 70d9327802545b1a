"""Model groups on the wire: the official client's ``model_group`` and ``model_group_create_params``."""

from pydantic import MISSING

from modelyard.http.api.wire.common import Body, Id, Name, Owned, Text


class ModelGroupCreate(Body):
    account_id: Id | None = None
    name: Name
    description: Text | None = None


class ModelGroupChange(Body):
    """Only what is sent changes; null empties the description."""

    name: Name | MISSING = MISSING
    description: Text | None = None


class ModelGroupAnswer(Owned):
    name: str
    description: str | None
