"""The engines on onnxruntime, on models whose every number is known."""

from pathlib import Path

import numpy as np
import pytest

from modelyard.engines.base import Compares, Embeds, Reranks, Weights
from modelyard.engines.bi_encoder import BiEncoder
from modelyard.engines.cross_encoder import CrossEncoder
from modelyard.engines.onnx_embedding import OnnxEmbedding
from modelyard.engines.parameters import BiEncoderParameters, CrossEncoderParameters, EmbeddingParameters
from modelyard.errors import EngineError, WeightsError
from modelyard.testing.tiny_models import WORDS, table, tiny_cross_encoder, tiny_embedding

CLS, SEP = WORDS.index("[CLS]"), WORDS.index("[SEP]")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_embedding(tmp_path / "embedding")


@pytest.fixture
def cross_model(tmp_path: Path) -> Path:
    return tiny_cross_encoder(tmp_path / "cross")


def embedding(weights: Weights, model: Path, **parameters: object) -> OnnxEmbedding:
    engine = OnnxEmbedding(EmbeddingParameters(weights=f"file:{model}", **parameters), weights)  # type: ignore[arg-type]
    engine.load()
    return engine


def cross(weights: Weights, model: Path, **parameters: object) -> CrossEncoder:
    engine = CrossEncoder(CrossEncoderParameters(weights=f"file:{model}", **parameters), weights)  # type: ignore[arg-type]
    engine.load()
    return engine


def rows(*words: str) -> np.ndarray:
    return table()[[CLS, *(WORDS.index(word) for word in words), SEP]]


def test_mean_leaves_padding_out(weights: Weights, model: Path) -> None:
    engine = embedding(weights, model, normalize=False)
    assert isinstance(engine, Embeds)
    vectors = engine.embed(engine.tokenize(["red", "red green blue"]))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0], rows("red").mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(vectors[1], rows("red", "green", "blue").mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(("pooling", "token"), [("cls", CLS), ("last", SEP)])
def test_cls_and_last_take_one_token(weights: Weights, model: Path, pooling: str, token: int) -> None:
    engine = embedding(weights, model, normalize=False, pooling=pooling)
    vectors = engine.embed(engine.tokenize(["red", "red green blue"]))
    np.testing.assert_allclose(vectors, np.stack([table()[token]] * 2), rtol=1e-6)


def test_normalized_vectors_have_length_one(weights: Weights, model: Path) -> None:
    engine = embedding(weights, model)
    vectors = engine.embed(engine.tokenize(["red", "cat dog", ""]))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_long_texts_are_cut_at_max_length(weights: Weights, model: Path) -> None:
    engine = embedding(weights, model, max_length=4)
    (tokens,) = engine.tokenize(["red green blue cat dog"])
    assert list(tokens.ids) == [CLS, WORDS.index("red"), WORDS.index("green"), SEP]


def test_the_prefix_is_put_before_every_text(weights: Weights, model: Path) -> None:
    engine = embedding(weights, model, query_prefix="one ")
    assert engine.tokenize(["red"]) == embedding(weights, model).tokenize(["one red"])


def test_a_batch_gives_what_each_text_gives_alone(weights: Weights, model: Path) -> None:
    engine = embedding(weights, model)
    texts = ["red", "green cat dog bird", "", "unheard of words", "one two three red green"]
    together = engine.embed(engine.tokenize(texts))
    alone = np.concatenate([engine.embed(engine.tokenize([text])) for text in texts])
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_a_tokenizer_may_lie_elsewhere(weights: Weights, model: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere.json"
    (model / "tokenizer.json").rename(other)
    with pytest.raises(EngineError, match=r"no tokenizer\.json beside model\.onnx"):
        embedding(weights, model)
    assert embedding(weights, model, tokenizer=f"file:{other}").tokenize(["red"])


@pytest.mark.parametrize("content", [b"", b"not an onnx file", b"\x08\x09\x12\x07pytorch"])
def test_a_file_that_is_no_model_says_so(weights: Weights, model: Path, content: bytes) -> None:
    (model / "model.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=r"onnxruntime could not load model\.onnx"):
        embedding(weights, model)


def test_a_tokenizer_that_is_none_says_so(weights: Weights, model: Path) -> None:
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(EngineError, match="no tokenizer of the tokenizers library"):
        embedding(weights, model)


def test_an_empty_directory_says_what_was_looked_for(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"onnx/model\.onnx"):
        embedding(weights, tmp_path)
    with pytest.raises(WeightsError):
        embedding(weights, tmp_path / "nowhere")


def test_a_cross_encoder_is_no_embedding_model(weights: Weights, cross_model: Path) -> None:
    engine = cross(weights, cross_model)
    assert isinstance(engine, Reranks)
    assert not isinstance(engine, Embeds)


def test_cross_encoder_scores_read_both_texts(weights: Weights, cross_model: Path) -> None:
    engine = cross(weights, cross_model, activation="none")
    scores = engine.score(engine.tokenize_pairs("red cat", ["green", "blue dog bird"]))
    for score, chunk in zip(scores, [["green"], ["blue", "dog", "bird"]], strict=True):
        query = [CLS, WORDS.index("red"), WORDS.index("cat"), SEP]
        second = [*(WORDS.index(word) for word in chunk), SEP]
        assert score == pytest.approx(table()[query, 0].sum() + 2 * table()[second, 0].sum(), rel=1e-5)


def test_sigmoid_puts_scores_between_zero_and_one_in_the_same_order(weights: Weights, cross_model: Path) -> None:
    raw, squashed = cross(weights, cross_model, activation="none"), cross(weights, cross_model)
    chunks = ["green", "blue dog bird", "one two three", "red"]
    pairs = raw.tokenize_pairs("red cat", chunks)
    plain, scores = raw.score(pairs), squashed.score(pairs)
    assert scores == pytest.approx([1 / (1 + np.exp(-score)) for score in plain])


def test_long_pairs_keep_the_query(weights: Weights, cross_model: Path) -> None:
    engine = cross(weights, cross_model, max_length=8)
    (tokens,) = engine.tokenize_pairs("red cat", ["one two three " * 10])
    assert len(tokens.ids) == 8
    assert list(tokens.ids[:4]) == [CLS, WORDS.index("red"), WORDS.index("cat"), SEP]


def test_an_embedding_model_is_no_cross_encoder(weights: Weights, model: Path) -> None:
    with pytest.raises(EngineError, match="bi-encoder"):
        cross(weights, model)


def test_bi_encoder_scores_are_cosines(weights: Weights, model: Path) -> None:
    engine = BiEncoder(BiEncoderParameters(weights=f"file:{model}", normalize=False, query_prefix="one "), weights)
    engine.load()
    assert isinstance(engine, Compares)
    tokens = engine.tokenize_query("red cat", ["one red cat", "green", "dog bird"])
    query, *chunks = engine.embed(tokens)
    scores = engine.compare(query, np.stack(chunks))
    assert scores[0] == pytest.approx(1, abs=1e-6)
    expected = [chunk @ query / np.linalg.norm(chunk) / np.linalg.norm(query) for chunk in chunks]
    assert scores == pytest.approx(expected, abs=1e-6)
    assert all(-1 <= score <= 1 for score in scores)
