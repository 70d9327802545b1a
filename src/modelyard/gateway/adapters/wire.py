"""The adapter seam: native requests to bytes, bytes to native results. No adapter does I/O."""

from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from modelyard.domain.inference import (
    ChatRequest,
    ChatResult,
    Chunk,
    CompletionRequest,
    CompletionResult,
    EmbeddingRequest,
    EmbeddingResult,
    RerankingRequest,
    RerankingResult,
    Sampling,
    TextRequest,
)
from modelyard.domain.routes import Route
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest, ModelyardError, UpstreamError

T = TypeVar("T")


Headers = tuple[tuple[str, str], ...]
"""Names in lower case, and values."""


class WireRequest(Struct, frozen=True, gc=False):
    """What goes to a worker: ``path`` begins with a slash and is relative to the worker's address."""

    path: str
    body: bytes
    method: str = "POST"
    headers: Headers = ()
    """Further ones than every request has."""
    adjusted: tuple[str, ...] = ()
    """What was asked for and had to be changed for this upstream, in words; the caller is told in a header."""


class StreamDecoder(Protocol):
    """Turns the body of one streamed answer into chunks, however it is cut into pieces."""

    def feed(self, data: bytes) -> list[Chunk]:
        """The chunks completed by ``data``. Raises a `ModelyardError` for garbage and for errors the worker
        reports in its stream."""
        ...

    def flush(self) -> list[Chunk]:
        """What is left at the end of the body: the last chunk, if it is not out yet. Raises `UpstreamError`
        where the answer ended half-way."""
        ...


class Adapter(Protocol):
    """One wire format.

    Nothing in a request is dropped silently: what the format cannot say raises `InvalidRequest` naming the
    field. Decoding raises `UpstreamError` for answers that break the format. ``tests/contract/adapters``
    checks every adapter on recorded bytes, split at every byte.
    """

    def encode_chat(self, request: ChatRequest, route: Route) -> WireRequest: ...

    def encode_completion(self, request: CompletionRequest, route: Route) -> WireRequest: ...

    def most_texts(self, route: Route) -> int | None:
        """Texts that one embedding request may have; None: any number. Longer ones are sent in batches."""
        ...

    def encode_embedding(self, request: EmbeddingRequest, route: Route) -> WireRequest: ...

    def encode_reranking(self, request: RerankingRequest, route: Route) -> WireRequest: ...

    def decode_chat(self, request: ChatRequest, body: bytes) -> ChatResult: ...

    def decode_completion(self, request: CompletionRequest, body: bytes) -> CompletionResult: ...

    def decode_embedding(self, request: EmbeddingRequest, body: bytes) -> EmbeddingResult: ...

    def decode_reranking(self, request: RerankingRequest, body: bytes) -> RerankingResult: ...

    def stream_decoder(self, request: TextRequest) -> StreamDecoder: ...

    def decode_error(self, status: int, body: bytes) -> ModelyardError:
        """What an answer of another status than 200 means."""
        ...


def wants_logprobs(request: Sampling) -> bool:
    """Whether log probabilities are asked for: ``top_logprobs`` alone asks for them too."""
    if request.logprobs is False and request.top_logprobs:
        raise unsupported("top_logprobs", "needs logprobs to be true")
    return bool(request.logprobs) or bool(request.top_logprobs)


def unsupported(name: str, msg: str) -> InvalidRequest:
    """A field of the request that cannot be honoured, and why."""
    return InvalidRequest.at("body", name, msg=msg, type="unsupported", code="unsupported_parameter")


def no_such_verb(vendor: str, what: str) -> InvalidRequest:
    """A call that a vendor has nothing for."""
    return InvalidRequest.at("path", "id", msg=f"{vendor} has no {what}; use another vendor's model", code="wrong_verb")


def target_of(route: Route) -> VendorTarget:
    """The vendor's model behind ``route``. Adapters of vendors' formats are chosen only for routes that have one."""
    assert route.vendor is not None
    return route.vendor


def bindings_of(request: Any) -> dict[str, str | int | float | bool]:
    """The values in ``model_request_parameters``."""
    parameters = request.model_request_parameters
    return parameters.bindings if parameters is not None else {}


def decoded(decoder: "msgspec.json.Decoder[T]", body: bytes) -> T:
    """``body`` as what it should be; raises `UpstreamError` where it is not."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamError(f"The worker's answer is not what its protocol says: {error}.") from error
