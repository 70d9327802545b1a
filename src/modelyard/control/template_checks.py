"""What can be wrong with a template, all of it at once."""

import re
from collections.abc import Callable, Iterator, Mapping

from modelyard.domain import cards as engine_cards
from modelyard.domain.cards import EngineCard
from modelyard.domain.parameters import (
    LAUNCHER_VARIABLES,
    check_references,
    check_schema,
    check_values,
    is_reserved,
    references,
)
from modelyard.domain.resources import parse_size
from modelyard.domain.specs import DEFAULT_MAX_WORKERS, DEFAULT_MIN_WORKERS
from modelyard.domain.templates import BUILT_IN_REGISTRY, LOCAL_REGISTRY, BundleConfig, EndpointConfig, Template
from modelyard.errors import FieldError, Forbidden
from modelyard.settings import Settings

MAX_PER_WORKER = 10_000

Loc = tuple[str | int, ...]
_BUNDLE: Loc = ("body", "vendor_configuration", "bundle_config")
_ENDPOINT: Loc = ("body", "vendor_configuration", "endpoint_config")
_CREATION: Loc = ("body", "model_creation_parameters_schema")
_REQUEST: Loc = ("body", "model_request_parameters_schema")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")


def check_template(
    template: Template, cards: Mapping[str, EngineCard], *, administrator: bool, max_workers: int
) -> list[FieldError]:
    """Everything wrong with ``template``, each with its place in the request's body. ``max_workers`` is the
    installation's bound."""
    return [
        *check_schema(template.creation_schema, *_CREATION),
        *check_schema(template.request_schema, *_REQUEST),
        *check_references(_texts(template.bundle), template.creation_schema),
        *_check_env(template.bundle, administrator=administrator),
        *_check_sizes(template.endpoint),
        *check_scaling(template.endpoint, max_workers, *_ENDPOINT),
        *_check_bundle(template, cards),
    ]


def require_local_commands(bundle: BundleConfig, settings: Settings) -> None:
    """Raise `Forbidden` where ``bundle`` runs a command as the server and this installation does not have that."""
    if bundle.registry == LOCAL_REGISTRY and not settings.allows_local_commands:
        raise Forbidden(
            "Templates of the registry 'local' run commands as the server, and this server does not allow that.",
            code="local_commands_disabled",
            hint="Whoever runs the server can allow it: setting security.local_commands "
            "(MODELYARD_SECURITY__LOCAL_COMMANDS=true). It is on by default only while the server listens on loopback.",
        )


def require_administrator(bundle: BundleConfig, *, administrator: bool) -> None:
    """Raise `Forbidden` where somebody else than an administrator writes a command that runs as the server."""
    if bundle.registry == LOCAL_REGISTRY and not administrator:
        raise Forbidden(
            "Templates of the registry 'local' run commands as the server; only administrators make and change them.",
            code="administrator_needed",
            hint="Use the registry 'modelyard' for a built-in engine, or ask an administrator.",
        )


def _texts(bundle: BundleConfig) -> Iterator[tuple[Loc, str]]:
    for name in ("command", "streaming_command"):
        for index, item in enumerate(getattr(bundle, name)):
            yield (*_BUNDLE, name, index), item
    for variable, value in bundle.env.items():
        yield (*_BUNDLE, "env", variable), value


def _check_env(bundle: BundleConfig, *, administrator: bool) -> Iterator[FieldError]:
    places = [*(("env", name) for name in bundle.env), *(("secret_env", name) for name in bundle.secret_env)]
    for kind, name in places:
        where = (*_BUNDLE, kind, name)
        if kind == "secret_env" and name in bundle.env:
            yield FieldError(where, "is in env as well; name it in one of the two")
        elif not _VARIABLE.match(name):
            yield FieldError(where, "is no variable name: letters, digits and _, not starting with a digit")
        elif name.upper() in LAUNCHER_VARIABLES:
            yield FieldError(where, "is set by the launcher, which alone knows where the worker may listen")
        elif is_reserved(name) and not administrator:
            yield FieldError(where, "is reserved for the worker's process; only an administrator's template may set it")


def _check_sizes(endpoint: EndpointConfig) -> Iterator[FieldError]:
    for name in ("memory", "storage"):
        if (text := getattr(endpoint, name)) is None:
            continue
        try:
            if parse_size(text) == 0:
                yield FieldError((*_ENDPOINT, name), "must be more than nothing")
        except ValueError as error:
            yield FieldError((*_ENDPOINT, name), str(error))
    if endpoint.cpus == 0:
        yield FieldError((*_ENDPOINT, "cpus"), "must be at least 1; leave it out to reserve none")


def check_scaling(endpoint: EndpointConfig, bound: int, *loc: str | int) -> Iterator[FieldError]:
    """Contradictions among the three scaling numbers, unsaid ones at their defaults."""
    low = DEFAULT_MIN_WORKERS if endpoint.min_workers is None else endpoint.min_workers
    high = DEFAULT_MAX_WORKERS if endpoint.max_workers is None else endpoint.max_workers
    yield from check_scaling_numbers(low, high, endpoint.per_worker, bound, *loc)


def check_scaling_numbers(
    low: int, high: int, per_worker: int | None, bound: int, *loc: str | int
) -> Iterator[FieldError]:
    if high < 1:
        yield FieldError((*loc, "max_workers"), "must be at least 1")
    elif high > bound:
        yield FieldError(
            (*loc, "max_workers"),
            f"must be at most {bound}, the installation's bound (setting security.max_workers_per_deployment)",
        )
    elif low > high:
        yield FieldError(
            (*loc, "min_workers"), f"{low} is more than max_workers, which is {high}; raise max_workers too"
        )
    if per_worker is not None and not 1 <= per_worker <= MAX_PER_WORKER:
        yield FieldError((*loc, "per_worker"), f"must be between 1 and {MAX_PER_WORKER}")


def _check_bundle(template: Template, cards: Mapping[str, EngineCard]) -> Iterator[FieldError]:
    checks: dict[str, Callable[[], Iterator[FieldError]]] = {
        LOCAL_REGISTRY: lambda: _check_command(template.bundle),
        BUILT_IN_REGISTRY: lambda: _check_engine(template, cards),
    }
    yield from checks.get(template.bundle.registry, lambda: _check_image(template.bundle))()


def _check_command(bundle: BundleConfig) -> Iterator[FieldError]:
    for name in ("command", "streaming_command"):
        command = getattr(bundle, name)
        if name == "command" and not command:
            yield FieldError((*_BUNDLE, name), "a bundle of the registry 'local' is a command; give it", "missing")
        elif command and not command[0].strip():
            yield FieldError((*_BUNDLE, name, 0), "is the program to run; it must not be empty")


def _check_image(bundle: BundleConfig) -> Iterator[FieldError]:
    for name in ("registry", "image", "tag"):
        text = getattr(bundle, name)
        if not text or text != text.strip() or any(char.isspace() for char in text):
            yield FieldError((*_BUNDLE, name), "must be part of an image's address: not empty, no spaces")


def _check_engine(template: Template, cards: Mapping[str, EngineCard]) -> Iterator[FieldError]:
    card = cards.get(template.bundle.image)
    if card is None:
        known = ", ".join(sorted(cards))
        yield FieldError((*_BUNDLE, "image"), f"the registry '{BUILT_IN_REGISTRY}' has the engines {known}")
        return
    yield from engine_cards.check_template(card, template, "body")
    for name in ("command", "streaming_command"):
        if getattr(template.bundle, name):
            yield FieldError((*_BUNDLE, name), "a built-in engine is no command; leave it out, or use another registry")
    yield from _check_declared(template, card)


def _check_declared(template: Template, card: EngineCard) -> Iterator[FieldError]:
    # A parameter that the engine does not know may still serve in another's value; one that nothing reads is a slip.
    used = {name for value in template.bundle.env.values() for name in references(value)}
    declared = {parameter.name for parameter in template.creation_schema.parameters}
    known = {parameter.name for parameter in card.parameters}
    for index, parameter in enumerate(template.creation_schema.parameters):
        if parameter.name not in known and parameter.name not in used:
            names = ", ".join(sorted(known)) or "none"
            where = (*_CREATION, "parameters", index, "name")
            yield FieldError(where, f"the engine '{card.engine}' does not read it, nor does env; it reads {names}")
    for required in (parameter.name for parameter in card.parameters if parameter.required):
        if required not in declared and required not in {**template.bundle.env, **template.bundle.secret_env}:
            msg = f"the engine '{card.engine}' needs '{required}'; declare it here, or set it in the bundle's env"
            yield FieldError(_CREATION, msg, "missing")


def check_parameters(
    template: Template, cards: Mapping[str, EngineCard], values: Mapping[str, object], *loc: str | int, partial: bool
) -> list[FieldError]:
    """What is wrong with creation parameters: against the template's schema, and against the engine that will read
    them. ``partial``: required ones may still come with a deployment."""
    errors = check_values(template.creation_schema, values, *loc, partial=partial)
    if template.bundle.registry != BUILT_IN_REGISTRY or (card := cards.get(template.bundle.image)) is None:
        return errors
    at_fault = {error.loc for error in errors}
    for error in engine_cards.check_card(card, values, *loc, partial=partial):
        in_env = error.type == "missing" and error.loc[-1] in {
            **template.bundle.env,
            **template.bundle.secret_env,
        }
        if error.loc not in at_fault and not in_env:
            errors.append(error)
    return errors
