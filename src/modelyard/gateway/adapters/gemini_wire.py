"""The Gemini format as structs: as much of it as chats and embeddings need.

Sources: https://ai.google.dev/api/generate-content, https://ai.google.dev/api/embeddings and
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference; the types of the official SDK
(PyPI ``google-genai`` 2.34) are the schema of record. What is new in an answer is let through unread.
"""

from typing import Any

import msgspec
from msgspec import Struct


class Blob(Struct, rename="camel"):
    mime_type: str
    data: str


class FileData(Struct, rename="camel", omit_defaults=True):
    file_uri: str
    mime_type: str | None = None


class FunctionCall(Struct, omit_defaults=True):
    name: str = ""
    args: msgspec.Raw = msgspec.Raw(b"{}")
    id: str | None = None


class FunctionResponse(Struct, omit_defaults=True):
    name: str
    response: msgspec.Raw | dict[str, str]
    id: str | None = None


class Part(Struct, rename="camel", omit_defaults=True):
    """One piece of content: exactly one of text, inline_data, file_data, function_call, function_response."""

    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    """Base64; opaque."""
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None


class Content(Struct, omit_defaults=True):
    parts: list[Part]
    role: str | None = None


class ThinkingConfig(Struct, rename="camel", omit_defaults=True):
    include_thoughts: bool = False
    thinking_budget: int | None = None
    thinking_level: str | None = None


class GenerationConfig(Struct, kw_only=True, rename="camel", omit_defaults=True):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    response_logprobs: bool = False
    logprobs: int | None = None
    response_mime_type: str | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: ThinkingConfig | None = None


class FunctionDeclaration(Struct, rename="camel", omit_defaults=True):
    name: str
    description: str | None = None
    parameters_json_schema: dict[str, Any] | None = None


class Tool(Struct, rename="camel"):
    function_declarations: list[FunctionDeclaration]


class FunctionCallingConfig(Struct, rename="camel", omit_defaults=True):
    mode: str
    allowed_function_names: list[str] | None = None


class ToolConfig(Struct, rename="camel"):
    function_calling_config: FunctionCallingConfig


class Body(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The body of :generateContent and :streamGenerateContent."""

    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Tool] | None = None
    tool_config: ToolConfig | None = None
    generation_config: Any = None


class AnswerContent(Struct):
    parts: list[Part] = []


class LogprobsCandidate(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class TopCandidates(Struct):
    candidates: list[LogprobsCandidate] = []


class LogprobsResult(Struct, rename="camel"):
    chosen_candidates: list[LogprobsCandidate] = []
    top_candidates: list[TopCandidates] = []


class Candidate(Struct, rename="camel"):
    content: AnswerContent | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    logprobs_result: LogprobsResult | None = None


class UsageMetadata(Struct, rename="camel"):
    """``totalTokenCount`` is documented as the sum of the prompt's, the candidates', the thoughts' and the tool
    results': so the candidates' count leaves out the thoughts, and the prompt's leaves out the tool results."""

    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None


class PromptFeedback(Struct, rename="camel"):
    block_reason: str | None = None
    block_reason_message: str | None = None


class Answer(Struct, rename="camel"):
    """A whole answer, or one event of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    error: Any = None


class ErrorDetail(Struct, rename="camel"):
    """One of google.rpc.ErrorInfo (reason), google.rpc.RetryInfo (retryDelay), google.rpc.BadRequest
    (fieldViolations); https://cloud.google.com/apis/design/errors."""

    reason: str | None = None
    retry_delay: str | None = None
    field_violations: list[dict[str, Any]] = []


class Fault(Struct):
    code: int = 0
    message: str = ""
    status: str = ""
    details: list[ErrorDetail] = []


class ErrorAnswer(Struct):
    error: Fault


class Embedding(Struct):
    values: msgspec.Raw


class BatchEmbeddings(Struct, rename="camel"):
    """The answer of :batchEmbedContents."""

    embeddings: list[Embedding]
    usage_metadata: UsageMetadata | None = None


class Statistics(Struct):
    token_count: float | None = None


class PredictedEmbedding(Struct):
    values: msgspec.Raw
    statistics: Statistics | None = None


class Prediction(Struct):
    embeddings: PredictedEmbedding


class VertexEmbeddings(Struct, rename="camel"):
    """The answer of Vertex AI's :predict (``predictions``) or :embedContent (the rest)."""

    predictions: list[Prediction] = []
    embedding: Embedding | None = None
    usage_metadata: UsageMetadata | None = None
