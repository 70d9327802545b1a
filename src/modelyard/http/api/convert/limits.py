"""Limits, to and from the wire."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from modelyard.control.limits.limits import LimitDraft
from modelyard.domain.limits import Kind, Limit
from modelyard.http.api.wire import limits as wire

_PLAIN = ("name", "subject", "subject_id", "on_exceeded", "priority")


def draft(body: wire.LimitCreate) -> LimitDraft:
    bounds = {kind: bound for kind in Kind if (bound := getattr(body, kind.value)) is not None}
    return LimitDraft(body.name, body.subject, body.subject_id, bounds, body.on_exceeded, body.priority)


def changed(before: LimitDraft, body: wire.LimitChange) -> LimitDraft:
    """``before`` with what a PATCH sent: fields not sent stay."""
    sent = body.model_fields_set
    new: dict[str, Any] = {name: getattr(body, name) for name in _PLAIN if name in sent}
    bounds: dict[Kind, int | Decimal] = {kind: bound for kind, bound in before.bounds.items() if kind.value not in sent}
    for kind in Kind:
        if kind.value in sent and (bound := getattr(body, kind.value)) is not None:
            bounds[kind] = bound
    return replace(before, **new, bounds=bounds)


def answer(limit: Limit) -> wire.LimitAnswer:
    bounds = LimitDraft.of(limit).bounds
    return wire.LimitAnswer(
        id=limit.id,
        account_id=limit.account_id,
        created_at=limit.created_at,
        created_by_user_id=limit.created_by_user_id,
        created_by_identity_type=limit.created_by_identity_type,
        name=limit.name,
        subject=limit.subject,
        subject_id=limit.subject_id,
        on_exceeded=limit.on_exceeded,
        priority=limit.priority,
        **{kind.value: _shown(bounds.get(kind)) for kind in Kind},
    )


def _shown(bound: int | Decimal | None) -> Any:
    return format(bound.normalize(), "f") if isinstance(bound, Decimal) else bound
