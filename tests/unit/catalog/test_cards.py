from dataclasses import replace
from datetime import UTC, datetime

import pytest

from modelyard.catalog import load
from modelyard.domain.cards import CardParameter, EngineCard, check_card, check_template, schema_of
from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.templates import EndpointProtocol, ModelType

CARD = EngineCard(
    engine="toy",
    title="Toy",
    description="For this test.",
    model_types=(ModelType.EMBEDDING,),
    protocol=EndpointProtocol.SGP,
    healthcheck_route="/readyz",
    readiness_seconds=10,
    parameters=(
        CardParameter("weights", ParameterType.STR, "Weights", required=True, weights=(".onnx", "/")),
        CardParameter("tokenizer", ParameterType.STR, "Tokenizer.", default="", weights=(".json",)),
        CardParameter("slots", ParameterType.INT, "Slots", default=4, minimum=1, maximum=64),
        CardParameter("share", ParameterType.FLOAT, "Share", default=0.5, minimum=0.25),
        CardParameter("pooling", ParameterType.STR, "Pooling", default="mean", choices=("", "mean", "cls")),
        CardParameter("normalize", ParameterType.BOOL, "Normalize", default=True),
    ),
)
GOOD = {"weights": "file:/m.onnx"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"slots": 1, "share": 0.25, "pooling": "cls", "normalize": False, "tokenizer": "file:/t.json"},
        {"slots": 64, "share": 3, "pooling": "", "tokenizer": ""},
        {"something_of_the_users": "x"},
        {"weights": "hf:org/repo"},
        {"weights": "hf:org/repo/onnx/"},
        {"weights": "hf:org/repo/onnx/*"},
        {"weights": "hf:org/repo/*.onnx"},
        {"weights": "s3:bucket/dir/"},
        {"weights": "file:/srv/model"},
        {"weights": f"file:/srv/m.onnx#sha256={'a' * 64}"},
    ],
)
def test_takes_what_the_engine_takes(values):
    assert check_card(CARD, {**GOOD, **values}, "body") == []


@pytest.mark.parametrize(
    ("values", "name", "says"),
    [
        ({"slots": 0}, "slots", "at least 1"),
        ({"slots": 65}, "slots", "at most 64"),
        ({"slots": "4"}, "slots", "type int"),
        ({"slots": True}, "slots", "type int"),
        ({"share": 0.1}, "share", "at least 0.25"),
        ({"share": float("nan")}, "share", "at least 0.25"),
        ({"pooling": "max"}, "pooling", "one of: (empty), mean, cls"),
        ({"normalize": 1}, "normalize", "type bool"),
        ({"weights": ""}, "weights", "must not be empty"),
        ({"weights": "https://example.com/m.onnx"}, "weights", "no weight URI"),
        ({"weights": "hf:org/repo/pytorch_model.bin"}, "weights", "safetensors, gguf or onnx"),
        ({"weights": "file:/m.gguf"}, "weights", "a .onnx file or a directory"),
        ({"tokenizer": "hf:org/repo"}, "tokenizer", "a .json file"),
        ({"tokenizer": "file:/etc/passwd"}, "tokenizer", "a .json file"),
    ],
)
def test_names_what_the_engine_would_not_take(values, name, says):
    (error,) = check_card(CARD, {**GOOD, **values}, "body", "model_creation_parameters")
    assert error.loc == ("body", "model_creation_parameters", name)
    assert says in error.msg


def test_missing_parameters_are_named_unless_they_may_come_later():
    (error,) = check_card(CARD, {"slots": 2}, "body")
    assert (error.loc, error.type) == (("body", "weights"), "missing")
    assert check_card(CARD, {"slots": 2}, "body", partial=True) == []


def test_the_schema_shows_bounds_choices_and_defaults():
    shown = {parameter.name: parameter.description for parameter in schema_of(CARD).parameters}
    assert shown["slots"] == "Slots. From 1 to 64. Default 4."
    assert shown["share"] == "Share. At least 0.25. Default 0.5."
    assert shown["pooling"] == "Pooling. One of '', mean, cls. Default mean."
    assert shown["tokenizer"] == "Tokenizer."


def test_a_template_that_contradicts_its_engine_is_told_where():
    entry = next(entry for entry in load().templates if entry.name == "onnx-embedding")
    template = entry.template("t", datetime(2026, 1, 1, tzinfo=UTC))
    assert check_template(entry.card, template, "body") == []
    wrong = replace(
        template,
        model_type=ModelType.RERANKING,
        endpoint_protocol=EndpointProtocol.VLLM,
        creation_schema=ParameterSchema(
            (
                Parameter("own", ParameterType.STR, "The user's own", False),
                Parameter("threads", ParameterType.STR, "Threads", False),
            )
        ),
    )
    assert {error.loc for error in check_template(entry.card, wrong, "body")} == {
        ("body", "model_type"),
        ("body", "endpoint_protocol"),
        ("body", "model_creation_parameters_schema", "parameters", 1, "type"),
    }
