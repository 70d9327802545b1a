"""What may stand behind a model server."""

from datetime import datetime

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.deployments import Deployment, DeploymentStatus, Phase
from modelyard.domain.lifecycle import status_of
from modelyard.domain.models import Model
from modelyard.domain.servers import Backends
from modelyard.errors import Conflict, InvalidRequest, NotFound
from modelyard.store import Transaction


async def check_backends(
    tx: Transaction, account_id: str, before: Backends, backends: Backends, now: datetime, *loc: str
) -> None:
    """Raise where one of ``backends``, of a model server in ``account_id``, is not there, cannot answer yet (those of
    ``before`` are taken as they are), or is of another type than the rest.

    They are held until the transaction ends, so that nobody deletes one meanwhile. ``loc`` is the field that
    names them.
    """
    # In one order everywhere: whoever holds some of them never waits for somebody who waits for him.
    found = {
        each.deployment_id: await _held(tx, account_id, each.deployment_id, loc) for each in sorted(backends, key=str)
    }
    known = {backend.deployment_id for backend in before}
    left = await tx.deployments.of_ids([id_ for id_ in known if id_ not in found])
    models = await tx.models.get_many([each.model_id for each in (*found.values(), *left)])
    _check_types([*found.values(), *left], models, loc)
    for deployment in found.values():
        if deployment.id not in known:
            _check_ready(deployment, now)


async def refuse_backend_in_use(tx: Transaction, deployment_id: str, account_id: str) -> None:
    """Raise `Conflict` naming the model servers that have the deployment behind them."""
    await tx.deployments.hold(deployment_id)
    if servers := await tx.servers.in_front_of(deployment_id, account_id):
        names = ", ".join(f"'{server.name}' ({server.id})" for server in servers[:10])
        raise Conflict(
            f"Model servers send calls to this deployment: {names}.",
            code="backend_in_use",
            hint="PUT /v4/serving/{id}/backend puts another deployment behind one, DELETE /v4/serving/{id} deletes it.",
        )


async def _held(tx: Transaction, account_id: str, deployment_id: str, loc: tuple[str, ...]) -> Deployment:
    await tx.deployments.hold(deployment_id)
    try:
        deployment = await tx.deployments.get(deployment_id, (account_id, PLATFORM_ACCOUNT_ID))
    except NotFound as error:
        raise unknown_backend(deployment_id, *loc) from error
    if deployment.target.deleted:
        raise unknown_backend(deployment_id, *loc)
    return deployment


def unknown_backend(deployment_id: str, *loc: str) -> InvalidRequest:
    msg = f"there is no deployment '{deployment_id}' in the account; GET /v4/model-deployments lists them"
    return InvalidRequest.at(*loc, msg=msg, code="deployment_not_found")


def _check_types(deployments: list[Deployment], models: dict[str, Model], loc: tuple[str, ...]) -> None:
    types = {models[each.model_id].model_type for each in deployments}
    if len(types) > 1:
        named = ", ".join(f"'{each.name}' is {models[each.model_id].model_type}" for each in deployments)
        msg = f"callers rely on one type of model behind a server, and these differ: {named}"
        raise InvalidRequest.at(*loc, msg=msg, code="backend_type_mismatch")


def _check_ready(deployment: Deployment, now: datetime) -> None:
    status, detail = status_of(deployment, now)
    if status is DeploymentStatus.READY or any(worker.phase is Phase.READY for worker in deployment.workers):
        return
    why = f": {detail.reason}" if detail.reason else ""
    raise Conflict(
        f"The deployment '{deployment.name}' ({deployment.id}) is {status}, so calls would wait or fail{why}.",
        code="backend_not_ready",
        hint="Try again when its status is READY.",
    )
