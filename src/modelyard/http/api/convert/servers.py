"""Model servers, to and from the wire."""

from typing import Any

from modelyard.control.servers import ServerDraft, Swap
from modelyard.domain.servers import Backend, ModelServer
from modelyard.http.api.wire import servers as wire


def changed(server: ModelServer, body: wire.ServerChange) -> ServerDraft:
    """``server`` with what a PATCH sent: fields not sent stay."""
    sent = body.model_fields_set
    backends = None
    if isinstance(body.backends, list):
        backends = tuple(Backend(each.model_deployment_id, each.weight) for each in body.backends)
    return ServerDraft(
        name=str(body.name) if "name" in sent else server.name,
        alias=body.alias if "alias" in sent else server.alias,
        backends=backends,
        fallbacks=tuple(body.fallbacks or ()) if "fallbacks" in sent else None,
    )


def answer(server: ModelServer) -> wire.ServerAnswer:
    return wire.ServerAnswer(**_values(server))


def swap_answer(swap: Swap, new: str) -> wire.BackendChanged:
    return wire.BackendChanged(**_values(swap.server), new_model_deployment_id=new, old_model_deployment_id=swap.before)


def _values(server: ModelServer) -> dict[str, Any]:
    return {
        "account_id": server.account_id,
        "model_server_id": server.id,
        "name": server.name,
        "alias": server.alias,
        "model_deployment_id": server.main,
        "backends": [
            wire.BackendAnswer(model_deployment_id=each.deployment_id, weight=each.weight) for each in server.backends
        ],
        "fallbacks": list(server.fallbacks),
        "created_at": server.created_at,
        "created_by_user_id": server.created_by_user_id,
        "created_by_identity_type": server.created_by_identity_type,
    }
