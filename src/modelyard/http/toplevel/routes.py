"""The top-level calls as plain Starlette routes."""

from starlette.routing import Route

from modelyard.domain.usage import Verb
from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.inference.endpoint import Answer
from modelyard.http.toplevel.endpoint import ToplevelEndpoint
from modelyard.http.toplevel.rank_endpoint import RankEndpoint
from modelyard.http.toplevel.verbs import ToplevelVerbs
from modelyard.settings import GatewaySettings


def toplevel_routes(gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings) -> list[Route]:
    verbs = ToplevelVerbs(gateway, settings.heartbeat_seconds)

    def route(path: str, verb: Verb, answer: Answer) -> Route:
        return Route(path, ToplevelEndpoint(gateway, verifier, settings, verb, answer), methods=["POST"], name=path)

    ranking = RankEndpoint(gateway, verifier, settings)
    return [
        route("/v4/chat-completions", Verb.CHAT_COMPLETION, verbs.chat_completions),
        route("/v4/completions", Verb.COMPLETION, verbs.completions),
        Route("/v4/chunks/rank", ranking, methods=["POST"], name="/v4/chunks/rank"),
    ]
