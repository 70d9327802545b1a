"""What can be wrong with a deployment, all of it at once."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.control.drafts import DeploymentDraft
from modelyard.control.template_checks import (
    check_parameters,
    check_scaling_numbers,
    require_local_commands,
)
from modelyard.domain.autoscale import OVERRIDES
from modelyard.domain.cards import EngineCard
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.resources import parse_size
from modelyard.domain.snapshots import merged_parameters
from modelyard.domain.specs import scaling
from modelyard.domain.templates import BUILT_IN_REGISTRY, LOCAL_REGISTRY, Template
from modelyard.errors import FieldError, Forbidden, InvalidRequest
from modelyard.settings import LauncherKind, Settings

_CONFIGURATION = ("body", "vendor_configuration")
_OF_LAUNCH = frozenset({"vendor", "min_workers", "max_workers", "per_worker", *OVERRIDES})


def require_launchable(template: Template, settings: Settings) -> None:
    """Raise where this installation cannot run the template's bundle at all."""
    require_local_commands(template.bundle, settings)
    registry = template.bundle.registry
    if settings.launcher is LauncherKind.LOCAL and registry not in (BUILT_IN_REGISTRY, LOCAL_REGISTRY):
        raise InvalidRequest.at(
            "path",
            "model_id",
            msg=f"the model's template '{template.name}' runs a container image of the registry '{registry}', which "
            "the launcher 'local' cannot; start the server with --launcher container for that. Here a template's "
            f"registry is '{BUILT_IN_REGISTRY}' (a built-in engine) or '{LOCAL_REGISTRY}' (a command)",
            code="launcher_cannot_run_images",
        )
    _require_allowed(template, settings)


def _require_allowed(template: Template, settings: Settings) -> None:
    bundle, allowed = template.bundle, settings.containers.allowed
    name = f"{bundle.registry}/{bundle.image}"
    if allowed is None or bundle.registry in (BUILT_IN_REGISTRY, LOCAL_REGISTRY) or name.startswith(allowed):
        return
    raise Forbidden(
        f"This server does not run the image {name}, which the template '{template.name}' names; it runs images whose "
        f"names begin with {', '.join(allowed) or 'nothing at all'}.",
        code="image_not_allowed",
        hint="Whoever runs the server can allow it: setting containers.allowed (MODELYARD_CONTAINERS__ALLOWED).",
    )


def completed_configuration(template: Template, model: Model, sent: Mapping[str, Any]) -> dict[str, Any]:
    """``vendor_configuration`` as it is kept: what was said, and the scaling numbers in effect."""
    said = {name: value for name, value in sent.items() if value is not None}
    low, high, per_worker = scaling(template, said)
    vendor = said.get("vendor") or str(model.model_vendor or ModelVendor.LAUNCH)
    return {**said, "vendor": vendor, "min_workers": low, "max_workers": high, "per_worker": per_worker}


def check_deployment(
    template: Template, model: Model, draft: DeploymentDraft, cards: Mapping[str, EngineCard], *, max_workers: int
) -> list[FieldError]:
    """Everything wrong with ``draft``, whose vendor_configuration is completed, each with its place in the body."""
    configuration = draft.vendor_configuration
    low, high, per_worker = (configuration[name] for name in ("min_workers", "max_workers", "per_worker"))
    values = merged_parameters(model, draft.model_creation_parameters)
    return [
        *_check_vendor(model, configuration),
        *check_scaling_numbers(low, high, per_worker, max_workers, *_CONFIGURATION),
        *_check_resources(configuration),
        *check_parameters(template, cards, values, "body", "model_creation_parameters", partial=False),
    ]


def _check_vendor(model: Model, configuration: Mapping[str, Any]) -> Iterator[FieldError]:
    if configuration["vendor"] != (model.model_vendor or ModelVendor.LAUNCH):
        msg = f"is {configuration['vendor']}, but the model's vendor is {model.model_vendor}"
        yield FieldError((*_CONFIGURATION, "vendor"), msg)
    if configuration["vendor"] == ModelVendor.LAUNCH:
        for name in sorted(set(configuration) - _OF_LAUNCH):
            yield FieldError((*_CONFIGURATION, name), f"belongs to the vendor {ModelVendor.LLMENGINE}", "unknown")


def _check_resources(configuration: Mapping[str, Any]) -> Iterator[FieldError]:
    for name in ("memory", "storage"):
        if name in configuration:
            try:
                if parse_size(configuration[name]) == 0:
                    yield FieldError((*_CONFIGURATION, name), "must be more than nothing")
            except ValueError as error:
                yield FieldError((*_CONFIGURATION, name), str(error))
    for name in ("cpus", "num_shards"):
        if configuration.get(name) == 0:
            yield FieldError((*_CONFIGURATION, name), "must be at least 1; leave it out to reserve none")
