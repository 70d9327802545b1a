"""The inference calls as plain Starlette routes: no framework between the socket and the gateway but routing."""

from starlette.routing import Route

from modelyard.domain.usage import Verb
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.inference.endpoint import Answer, InferenceEndpoint, ServerEndpoint
from modelyard.http.inference.verbs import Verbs
from modelyard.settings import GatewaySettings


def inference_routes(gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings) -> list[Route]:
    """Every inference call under /v4 whose path says what it calls. Path parameter ``id`` is whatever
    `modelyard.gateway.resolving.resolve` understands."""
    verbs = Verbs(gateway, settings.heartbeat_seconds)

    def route(path: str, verb: Verb, answer: Answer, frame: type[InferenceEndpoint] = InferenceEndpoint) -> Route:
        return Route(path, frame(gateway, verifier, settings, verb, answer), methods=["POST"], name=path)

    return [
        route("/v4/models/{id}/chat-completions", Verb.CHAT_COMPLETION, verbs.chat_completions),
        route("/v4/models/{id}/completions", Verb.COMPLETION, verbs.completions),
        route("/v4/models/{id}/embeddings", Verb.EMBEDDING, verbs.embeddings),
        route("/v4/models/{id}/rerankings", Verb.RERANKING, verbs.rerankings),
        route("/v4/models/{model_id}/deployments/{id}/execute", Verb.EXECUTE, verbs.execute),
        route("/v4/serving/a/{alias}/execute", Verb.EXECUTE, verbs.execute, ServerEndpoint),
        route("/v4/serving/{model_server_id}/execute", Verb.EXECUTE, verbs.execute, ServerEndpoint),
    ]
