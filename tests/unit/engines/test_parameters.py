import pytest

from modelyard import catalog
from modelyard.engines import registry
from modelyard.engines.parameters import (
    BiEncoderParameters,
    CrossEncoderParameters,
    EmbeddingParameters,
    FakeParameters,
    LlamaCppParameters,
    TransformersParameters,
    VllmParameters,
    read,
)
from modelyard.errors import EngineError

KINDS = {
    "llama-cpp": LlamaCppParameters,
    "onnx-embedding": EmbeddingParameters,
    "bi-encoder": BiEncoderParameters,
    "cross-encoder": CrossEncoderParameters,
    "transformers": TransformersParameters,
    "vllm": VllmParameters,
    "fake": FakeParameters,
}


def test_values_are_read_from_variables_of_their_own_names() -> None:
    environ = {"weights": "file:/a", "slots": "8", "context_length": "4096", "PATH": "/bin", "chat_template": ""}
    assert read(LlamaCppParameters, environ) == LlamaCppParameters(weights="file:/a", slots=8, context_length=4096)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("1", True), ("0", False)])
def test_booleans_are_read_as_launchers_write_them(text: str, value: bool) -> None:
    assert read(EmbeddingParameters, {"weights": "w", "normalize": text}).normalize is value


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({}, "'weights'"),
        ({"weights": "w", "slots": "0"}, "'slots'"),
        ({"weights": "w", "slots": "many"}, "'slots'"),
        ({"weights": "w", "quantization": "Q9"}, "'quantization'"),
    ],
)
def test_what_is_wrong_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(EngineError, match=named):
        read(LlamaCppParameters, environ)


def test_every_engine_has_a_card_and_the_other_way_round() -> None:
    assert set(registry.NAMES) == set(KINDS) == {card.engine for card in catalog.load().cards.values()}


@pytest.mark.parametrize("engine", KINDS)
def test_cards_and_engines_agree_on_names_and_defaults(engine: str) -> None:
    card = catalog.load().cards[engine]
    kind = KINDS[engine]
    required = {parameter.name for parameter in card.parameters if parameter.required}
    assert {parameter.name for parameter in card.parameters} == set(kind.__struct_fields__)
    given = read(kind, dict.fromkeys(required, "file:/weights"))
    for parameter in card.parameters:
        if not parameter.required:
            assert getattr(given, parameter.name) == parameter.default, parameter.name
