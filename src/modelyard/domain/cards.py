"""Engine cards: what the engines that ship with modelyard are, and which creation parameters they take.

A card is data (``catalog/data/engines``). Built-in templates' schemas are made from it, a user's own template
that names the engine is checked against it, and so are the values that models and deployments fill in: what the
worker would choke on is told to whoever wrote it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelyard.domain.parameters import (
    Parameter,
    ParameterSchema,
    ParameterType,
    Value,
    as_text,
    check_values,
)
from modelyard.domain.templates import EndpointProtocol, ModelType, Template
from modelyard.domain.weight_uris import BucketKey, HubPath, LocalPath, Source, WheelMember, parse
from modelyard.errors import FieldError

DIRECTORY = "/"
"""Among a parameter's ``weights``: a directory will do."""


@dataclass(frozen=True, slots=True)
class CardParameter:
    """One creation parameter, bounds included. An engine takes an empty text as not given."""

    name: str
    type: ParameterType
    description: str
    required: bool = False
    default: Value | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    """The value is a weight URI of a file with one of these suffixes (or of a `DIRECTORY`)."""

    def problem(self, value: object) -> str | None:
        """What is wrong with a value of the right type, or None."""
        if isinstance(value, str):
            return self._text_problem(value) if value else ("must not be empty" if self.required else None)
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.minimum is not None and not value >= self.minimum:
                return f"must be at least {as_text(self._bound(self.minimum))}"
            if self.maximum is not None and not value <= self.maximum:
                return f"must be at most {as_text(self._bound(self.maximum))}"
        return None

    def _text_problem(self, value: str) -> str | None:
        if self.choices and value not in self.choices:
            return f"must be one of: {', '.join(choice or '(empty)' for choice in self.choices)}"
        if self.weights:
            try:
                source = parse(value).source
            except ValueError as error:
                return str(error)
            return _form_problem(source, self.weights)
        return None

    def _bound(self, bound: float) -> Value:
        return int(bound) if self.type is ParameterType.INT else bound

    @property
    def explained(self) -> str:
        """The description with bounds, choices and default, as a template's schema shows it."""
        facts = [self.description.strip().rstrip(".")]
        if self.choices:
            facts.append("One of " + ", ".join(choice or "''" for choice in self.choices))
        if self.minimum is not None and self.maximum is not None:
            facts.append(f"From {as_text(self._bound(self.minimum))} to {as_text(self._bound(self.maximum))}")
        elif self.minimum is not None:
            facts.append(f"At least {as_text(self._bound(self.minimum))}")
        if self.default not in (None, ""):
            assert self.default is not None
            facts.append(f"Default {as_text(self.default)}")
        return ". ".join(facts) + "."


@dataclass(frozen=True, slots=True)
class EngineCard:
    engine: str
    """The name that ``bundle_config.image`` has where ``registry`` is ``modelyard``."""
    title: str
    description: str
    model_types: tuple[ModelType, ...]
    protocol: EndpointProtocol
    """What its worker speaks."""
    healthcheck_route: str
    readiness_seconds: int
    """How long loading may take once weights are there."""
    parameters: tuple[CardParameter, ...]
    extra: str | None = None
    """The optional dependencies it needs: pip install 'modelyard[extra]'."""

    def parameter(self, name: str) -> CardParameter | None:
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


def schema_of(card: EngineCard) -> ParameterSchema:
    """The creation parameter schema of a template that leaves every parameter of ``card`` open."""
    return ParameterSchema(
        tuple(Parameter(each.name, each.type, each.explained, each.required) for each in card.parameters)
    )


def check_card(
    card: EngineCard, values: Mapping[str, object], *loc: str | int, partial: bool = False
) -> list[FieldError]:
    """What ``card``'s engine would not take of ``values``: types, bounds, choices, weight URIs, required ones that are
    missing (unless ``partial``). Names that it does not know are the user's own affair."""
    known = {name: value for name, value in values.items() if card.parameter(name)}
    errors = check_values(schema_of(card), known, *loc, partial=partial)
    mistyped = {error.loc[-1] for error in errors}
    for parameter in card.parameters:
        if parameter.name not in known or parameter.name in mistyped:
            continue
        if problem := parameter.problem(known[parameter.name]):
            errors.append(FieldError((*loc, parameter.name), problem))
    return errors


def check_template(card: EngineCard, template: Template, *loc: str | int) -> list[FieldError]:
    """Where a user's own template contradicts the engine that it names."""
    errors = []
    if template.model_type not in card.model_types:
        allowed = ", ".join(card.model_types)
        errors.append(FieldError((*loc, "model_type"), f"the engine '{card.engine}' serves {allowed}"))
    if template.endpoint_protocol is not card.protocol:
        errors.append(FieldError((*loc, "endpoint_protocol"), f"the engine '{card.engine}' speaks {card.protocol}"))
    where = (*loc, "model_creation_parameters_schema", "parameters")
    for index, parameter in enumerate(template.creation_schema.parameters):
        known = card.parameter(parameter.name)
        if known is not None and known.type is not parameter.type:
            errors.append(
                FieldError((*where, index, "type"), f"the engine takes '{known.name}' as {known.type}", "type_error")
            )
    return errors


def _form_problem(source: Source, suffixes: tuple[str, ...]) -> str | None:
    """Whether a URI's path has a suffix that the engine reads."""
    match source:
        case LocalPath(path) | HubPath(path=str(path)) | BucketKey(key=path) | WheelMember(member=path):
            pass
        case _:
            path = DIRECTORY
    name = path.rpartition("/")[2]
    # A directory of this machine, and a pattern, may be written like a file without a suffix.
    may_be_directory = not name or "." not in name or name.endswith("*")
    if (DIRECTORY in suffixes and may_be_directory) or name.endswith(tuple(set(suffixes) - {DIRECTORY})):
        return None
    files = " or ".join(suffix for suffix in suffixes if suffix != DIRECTORY)
    forms = [f"a {files} file"] if files else []
    forms += ["a directory"] if DIRECTORY in suffixes else []
    return f"must name {' or '.join(forms)}, which '{path}' does not"
