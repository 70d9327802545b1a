"""Deployments, to and from the wire."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from modelyard.control.deployments import WorkerLog
from modelyard.control.drafts import DeploymentDraft
from modelyard.domain.deployments import Deployment, DeploymentStatus, Event, StatusDetail
from modelyard.http.api.wire import deployments as wire


def draft(body: wire.DeploymentCreate) -> DeploymentDraft:
    """What a POST asks for."""
    return DeploymentDraft(
        name=body.name,
        vendor_configuration=_configuration(body.vendor_configuration),
        model_creation_parameters=body.model_creation_parameters or {},
        deployment_metadata=body.deployment_metadata,
    )


def changed(deployment: Deployment, body: wire.DeploymentChange) -> DeploymentDraft:
    """``deployment`` with what a PATCH sent: fields not sent stay."""
    sent = body.model_fields_set
    new: dict[str, Any] = {}
    if "name" in sent:
        new["name"] = body.name
    if "deployment_metadata" in sent:
        new["deployment_metadata"] = body.deployment_metadata
    if "model_creation_parameters" in sent:
        new["model_creation_parameters"] = body.model_creation_parameters or {}
    if "vendor_configuration" in sent:
        before = deployment.vendor_configuration if body.vendor_configuration is not None else {}
        new["vendor_configuration"] = {**before, **_configuration(body.vendor_configuration)}
    return replace(DeploymentDraft.of(deployment), **new)


def _configuration(body: wire.DeploymentConfiguration | None) -> dict[str, Any]:
    return {} if body is None else body.model_dump(mode="json", exclude_unset=True)


def answer(deployment: Deployment, status: tuple[DeploymentStatus, StatusDetail]) -> wire.DeploymentAnswer:
    return wire.DeploymentAnswer(
        id=deployment.id,
        account_id=deployment.account_id,
        created_at=deployment.created_at,
        created_by_user_id=deployment.created_by_user_id,
        created_by_identity_type=deployment.created_by_identity_type,
        name=deployment.name,
        status=status[0],
        status_detail=wire.StatusDetailAnswer(**asdict(status[1])),
        model_instance_id=deployment.model_id,
        deployment_metadata=_dict(deployment.deployment_metadata),
        model_creation_parameters=dict(deployment.model_creation_parameters),
        vendor_configuration=_complete(deployment),
    )


def _complete(deployment: Deployment) -> dict[str, Any]:
    target = deployment.target
    if deployment.is_vendors:
        # Without the vendor: the official client knows two kinds of configuration, both of self-hosted ones.
        return {"per_worker": target.per_worker}
    return {
        "vendor": "LAUNCH",
        **deployment.vendor_configuration,
        "min_workers": target.min_workers,
        "max_workers": target.max_workers,
        "per_worker": target.per_worker,
    }


def _dict(value: Any) -> dict[str, Any] | None:
    return None if value is None else dict(value)


def logs(found: Sequence[WorkerLog]) -> wire.LogsAnswer:
    return wire.LogsAnswer(
        workers=[
            wire.WorkerLogAnswer(worker_id=each.worker_id, phase=each.phase, lines=list(each.lines)) for each in found
        ]
    )


def events(found: Sequence[Event]) -> wire.EventsAnswer:
    return wire.EventsAnswer(
        items=[wire.EventAnswer(at=event.at, kind=event.kind, message=event.message) for event in found]
    )
