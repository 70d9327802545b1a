"""What a call is named and described by in OpenTelemetry, as its conventions for generative AI have it
(https://opentelemetry.io/docs/specs/semconv/gen-ai/)."""

from modelyard.domain.usage import UsageRecord, Verb

_OPERATIONS = {
    Verb.CHAT_COMPLETION: "chat",
    Verb.COMPLETION: "text_completion",
    Verb.EMBEDDING: "embeddings",
    Verb.RERANKING: "rerank",
    Verb.EXECUTE: "execute",
}
_PROVIDERS = {
    "OPENAI": "openai",
    "ANTHROPIC": "anthropic",
    "COHERE": "cohere",
    "GOOGLE": "gcp.gemini",
    "VERTEX_AI": "gcp.vertex_ai",
    "BEDROCK": "aws.bedrock",
}

REQUEST_ID = "modelyard.request_id"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
FIRST_BYTE_SECONDS = "modelyard.first_byte_seconds"


def common(record: UsageRecord) -> dict[str, str]:
    """What spans and metrics say alike: few values, since every combination is a series of its own."""
    provider = "modelyard" if record.vendor is None else _PROVIDERS.get(record.vendor, record.vendor.lower())
    told = {
        "gen_ai.operation.name": _OPERATIONS[record.verb],
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": record.model_name,
    }
    if record.error_code is not None:
        told["error.type"] = record.error_code
    return told


def span_name(record: UsageRecord) -> str:
    return f"{_OPERATIONS[record.verb]} {record.model_name}"


def alike(record: UsageRecord) -> dict[str, str]:
    """What the spans of many calls have in common, `common` included; every call's own values stand beside it:
    `REQUEST_ID`, `INPUT_TOKENS`, `OUTPUT_TOKENS` and, where an answer began, `FIRST_BYTE_SECONDS`."""
    return common(record) | {
        "gen_ai.response.model": record.vendor_model or record.model_name,
        "modelyard.account_id": record.account_id,
        "modelyard.key_id": record.key_id,
        "modelyard.deployment_id": record.deployment_id,
        "modelyard.served_by": record.served_by or record.deployment_id,
        "modelyard.outcome": record.outcome.value,
    }
