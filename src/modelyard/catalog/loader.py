"""Reads the catalog's YAML files, strictly: a mistake in them is found by the first test, not by a user."""

import functools
from collections.abc import Hashable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import yaml

from modelyard.catalog import shapes
from modelyard.catalog.entries import Catalog, Starter, TemplateEntry
from modelyard.catalog.vendors import vendor_models
from modelyard.domain.cards import CardParameter, EngineCard, check_card, schema_of
from modelyard.domain.parameters import Parameter, ParameterSchema, check_schema, check_values
from modelyard.domain.templates import EndpointConfig
from modelyard.domain.vendor_models import VendorModel
from modelyard.errors import ConfigurationError, FieldError

Shape = TypeVar("Shape", shapes.Engine, shapes.Template, shapes.Starter, shapes.Vendor)


@functools.cache
def load() -> Catalog:
    """The catalog that ships with this version."""
    return read(files("modelyard.catalog") / "data")


def read(directory: Traversable) -> Catalog:
    """The catalog in ``directory`` (``engines/``, ``templates/``, ``starters/``, ``vendors/``: one YAML file for each
    entry). Raises `ConfigurationError` naming the file and the field."""
    cards = {shape.engine: _card(where, shape) for where, shape in _each(directory / "engines", shapes.Engine)}
    templates = {
        shape.name: _template(where, shape, cards) for where, shape in _each(directory / "templates", shapes.Template)
    }
    starters = [_starter(where, shape, templates) for where, shape in _each(directory / "starters", shapes.Starter)]
    vendors = [model for where, shape in _each(directory / "vendors", shapes.Vendor) for model in _vendor(where, shape)]
    return Catalog(tuple(templates.values()), tuple(starters), MappingProxyType(cards), tuple(vendors))


def _each(directory: Traversable, shape: type[Shape]) -> Iterator[tuple[str, Shape]]:
    """The entries in ``directory``, by file name; each is called as its file is."""
    for file in sorted((each for each in directory.iterdir() if each.name.endswith(".yaml")), key=lambda f: f.name):
        where = f"{directory.name}/{file.name}"
        try:
            # The loader is the safe one; it only refuses more.
            entry = msgspec.convert(yaml.load(file.read_text("utf-8"), _StrictLoader), shape)  # noqa: S506
        except (yaml.YAMLError, msgspec.ValidationError) as error:
            raise ConfigurationError(f"catalog/{where}: {error}") from error
        name = _name(entry)
        if file.name != f"{name}.yaml":
            raise ConfigurationError(f"catalog/{where}: names itself '{name}'")
        yield where, entry


def _name(entry: shapes.Engine | shapes.Template | shapes.Starter | shapes.Vendor) -> str:
    if isinstance(entry, shapes.Engine):
        return entry.engine
    return entry.vendor.value.lower() if isinstance(entry, shapes.Vendor) else entry.name


def _vendor(where: str, shape: shapes.Vendor) -> list[VendorModel]:
    try:
        return list(vendor_models(shape))
    except ValueError as error:
        raise ConfigurationError(f"catalog/{where}: {error}") from error


def _card(where: str, shape: shapes.Engine) -> EngineCard:
    parameters = tuple(CardParameter(**msgspec.structs.asdict(each)) for each in shape.parameters)
    card = EngineCard(**{**msgspec.structs.asdict(shape), "parameters": parameters})
    errors = check_schema(schema_of(card))
    defaults = {each.name: each.default for each in parameters if each.default is not None}
    errors += check_card(card, defaults, "defaults", partial=True)
    errors += [
        FieldError((each.name,), "is required, and has a default")
        for each in parameters
        if each.required and each.default is not None
    ]
    _refuse(where, errors)
    return card


def _template(where: str, shape: shapes.Template, cards: Mapping[str, EngineCard]) -> TemplateEntry:
    card = _known(where, "engine", shape.engine, cards)
    if shape.model_type not in card.model_types:
        _refuse(where, [FieldError(("model_type",), f"the engine serves {', '.join(card.model_types)}")])
    request_schema = ParameterSchema(
        tuple(Parameter(each.name, each.type, each.description, each.required) for each in shape.request_parameters)
    )
    _refuse(where, check_schema(request_schema, "request_parameters"))
    return TemplateEntry(
        name=shape.name,
        description=shape.description,
        card=card,
        tag=shape.tag,
        model_type=shape.model_type,
        endpoint_type=shape.endpoint_type,
        endpoint=EndpointConfig(**msgspec.structs.asdict(shape.scaling)),
        request_schema=request_schema,
    )


def _starter(where: str, shape: shapes.Starter, templates: Mapping[str, TemplateEntry]) -> Starter:
    template = _known(where, "template", shape.template, templates)
    errors = check_values(schema_of(template.card), shape.parameters, "parameters")
    errors += check_card(template.card, shape.parameters, "parameters", partial=True)
    window = shape.metadata.model_details.token_context_window
    served = shape.parameters.get("context_length", shape.parameters.get("max_length"))
    if served is not None and served != window:
        errors.append(FieldError(("metadata", "modelDetails"), f"claims a window of {window}, serves {served}"))
    slots = shape.parameters.get("slots")
    if slots is not None and slots != shape.scaling.per_worker:
        errors.append(FieldError(("scaling", "per_worker"), f"{shape.scaling.per_worker} for {slots} slots"))
    _refuse(where, errors)
    return Starter(
        name=shape.name,
        display_name=shape.display_name,
        description=shape.description,
        template=template,
        parameters=shape.parameters,
        min_workers=shape.scaling.min_workers,
        max_workers=shape.scaling.max_workers,
        per_worker=shape.scaling.per_worker,
        licence=shape.licence,
        metadata=msgspec.to_builtins(shape.metadata),
        model_card=shape.model_card,
        training_data_card=shape.training_data_card,
    )


Known = TypeVar("Known")


def _known(where: str, field: str, name: str, known: Mapping[str, Known]) -> Known:
    if name not in known:
        _refuse(where, [FieldError((field,), f"there is no '{name}', only {', '.join(known)}")])
    return known[name]


def _refuse(where: str, errors: list[FieldError]) -> None:
    if errors:
        text = "; ".join(f"{'.'.join(map(str, error.loc))}: {error.msg}" for error in errors)
        raise ConfigurationError(f"catalog/{where}: {text}")


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, that lets no key be given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.MarkedYAMLError(None, None, "a key is given twice", node.start_mark)
        return mapping
