"""The call log, to the wire."""

from modelyard.domain.call_logs import CallLogSettings, LoggedCall, log_id
from modelyard.domain.intervals import to_microseconds
from modelyard.domain.prices import dollars
from modelyard.domain.usage import UsageRecord
from modelyard.http.api.wire.call_logs import CallAnswer, CallDetail, CallLogSettingsAnswer, Content


def settings_answer(settings: CallLogSettings) -> CallLogSettingsAnswer:
    return CallLogSettingsAnswer(
        account_id=settings.account_id,
        bodies=settings.bodies,
        retention_days=settings.retention_days,
        redact=list(settings.redact),
        max_body_bytes=settings.max_body_bytes,
    )


def detail(call: LoggedCall) -> CallDetail:
    kept = call.content
    content = None
    if kept is not None:
        content = Content(
            path=kept.path,
            request=kept.request.text,
            request_truncated=kept.request.truncated,
            answer=kept.answer.text,
            answer_truncated=kept.answer.truncated,
        )
    return CallDetail(**answer(call.record).model_dump(), content=content)


def answer(record: UsageRecord) -> CallAnswer:
    return CallAnswer(
        id=log_id(to_microseconds(record.started_at), record.id),
        created_at=record.started_at,
        request_id=record.request_id,
        account_id=record.account_id,
        key_id=record.key_id,
        identity_id=record.identity_id,
        deployment_id=record.deployment_id,
        served_by=record.served_by or record.deployment_id,
        model_id=record.model_id,
        model_name=record.model_name,
        vendor=record.vendor,
        verb=record.verb,
        outcome=record.outcome,
        error_code=record.error_code,
        prompt_tokens=record.prompt_tokens,
        response_tokens=record.response_tokens,
        cached_tokens=record.cached_tokens,
        reasoning_tokens=record.reasoning_tokens,
        estimated=record.estimated,
        first_byte_seconds=record.first_byte_seconds,
        total_seconds=record.total_seconds,
        cost=None if record.cost_nano is None else format(dollars(record.cost_nano), "f"),
        unpriced=record.is_unpriced,
    )
