"""The /v1 calls as plain Starlette routes."""

from starlette.routing import Route

from modelyard.domain.usage import Verb
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.inference.endpoint import Answer
from modelyard.http.openai.endpoint import NothingHere, OpenAIEndpoint
from modelyard.http.openai.models import ModelsEndpoint
from modelyard.http.openai.verbs import OpenAIVerbs
from modelyard.settings import GatewaySettings


def openai_routes(gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings) -> list[Route]:
    """Everything under /v1, what is not there included."""
    verbs = OpenAIVerbs(gateway, settings.heartbeat_seconds)

    def call(path: str, verb: Verb, answer: Answer) -> Route:
        endpoint = OpenAIEndpoint(gateway, verifier, settings, verb, answer)
        return Route(path, endpoint, methods=["POST"], name=f"openai {verb}")

    models = ModelsEndpoint(gateway, verifier)
    return [
        call("/v1/chat/completions", Verb.CHAT_COMPLETION, verbs.chat_completions),
        call("/v1/completions", Verb.COMPLETION, verbs.completions),
        call("/v1/embeddings", Verb.EMBEDDING, verbs.embeddings),
        call("/v1/rerank", Verb.RERANKING, verbs.rerank),
        Route("/v1/models", models, methods=["GET"], name="openai models"),
        # Names may have slashes in them.
        Route("/v1/models/{id:path}", models, methods=["GET"], name="openai model"),
        Route("/v1/{rest:path}", NothingHere(verifier), name="openai nothing"),
    ]
