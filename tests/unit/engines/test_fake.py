import numpy as np
import pytest

from modelyard.domain.inference import ChatRequest, CompletionRequest, Message
from modelyard.domain.templates import ModelType
from modelyard.engines import registry
from modelyard.engines.base import Embeds, Executes, Generates, Reranks, Weights
from modelyard.engines.fake import Fake
from modelyard.engines.parameters import FakeParameters
from modelyard.errors import EngineError


def fake(weights: Weights, **parameters: object) -> Fake:
    engine = Fake(FakeParameters(**parameters), weights)  # type: ignore[arg-type]
    engine.load()
    return engine


def test_it_can_do_everything(weights: Weights) -> None:
    engine = fake(weights)
    assert isinstance(engine, Embeds)
    assert isinstance(engine, Reranks)
    assert isinstance(engine, Generates)
    assert isinstance(engine, Executes)


def test_equal_texts_have_equal_vectors_of_length_one(weights: Weights) -> None:
    engine = fake(weights, fake_dimensions=5)
    vectors = engine.embed(engine.tokenize(["a b", "c", "a b"]))
    assert vectors.shape == (3, 5)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_scores_are_the_part_of_the_query_found(weights: Weights) -> None:
    engine = fake(weights)
    assert engine.score(engine.tokenize_pairs("a b", ["b c", "a b", "x"])) == [0.5, 1.0, 0.0]


def test_a_chat_is_echoed_word_by_word(weights: Weights) -> None:
    request = ChatRequest(messages=[Message("system", "be kind"), Message("user", "hello there")], max_tokens=3)
    *pieces, last = fake(weights).generate(request)
    assert "".join(piece.text for piece in pieces) == "hello there hello"
    assert (last.finish_reason, last.prompt_tokens, last.response_tokens) == ("length", 4, 3)


def test_its_own_length_ends_with_stop(weights: Weights) -> None:
    *_, last = fake(weights, fake_tokens=2).generate(CompletionRequest(prompts=["x"]))
    assert (last.finish_reason, last.response_tokens) == ("stop", 2)


def test_it_fails_when_told_to(weights: Weights) -> None:
    with pytest.raises(EngineError, match="while loading"):
        fake(weights, fake_fail="load")
    engine = fake(weights, fake_fail="request")
    with pytest.raises(EngineError, match="each request"):
        engine.execute({})


def test_unknown_engines_and_wrong_model_types_are_named(weights: Weights) -> None:
    with pytest.raises(EngineError, match="no engine 'lama'"):
        registry.make("lama", ModelType.EMBEDDING, {}, weights)
    with pytest.raises(EngineError, match="'llama-cpp' cannot serve models of type EMBEDDING"):
        registry.make("llama-cpp", ModelType.EMBEDDING, {"weights": "x"}, weights)


@pytest.mark.parametrize("model_type", ModelType)
def test_it_serves_every_model_type(weights: Weights, model_type: ModelType) -> None:
    assert isinstance(registry.make("fake", model_type, {}, weights), Fake)
