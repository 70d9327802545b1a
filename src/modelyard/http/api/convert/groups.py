"""Model groups, to and from the wire."""

from dataclasses import replace
from typing import Any

from modelyard.domain.groups import ModelGroup
from modelyard.http.api.wire import groups as wire


def changed(group: ModelGroup, body: wire.ModelGroupChange) -> ModelGroup:
    """``group`` with what a PATCH sent: fields not sent stay."""
    new: dict[str, Any] = {
        name: getattr(body, name) for name in ("name", "description") if name in body.model_fields_set
    }
    return replace(group, **new)


def answer(group: ModelGroup) -> wire.ModelGroupAnswer:
    return wire.ModelGroupAnswer(
        id=group.id,
        account_id=group.account_id,
        created_at=group.created_at,
        created_by_user_id=group.created_by_user_id,
        created_by_identity_type=group.created_by_identity_type,
        name=group.name,
        description=group.description,
    )
