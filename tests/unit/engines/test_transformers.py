"""The transformers engine on a tiny random Llama made here. Needs the extra [torch]; skipped without it."""

import threading
from pathlib import Path

import pytest

from modelyard.domain.inference import ChatRequest, Chunk, CompletionRequest, Message
from modelyard.engines.base import Generates
from modelyard.engines.parameters import TransformersParameters
from modelyard.engines.transformers import Transformers
from modelyard.errors import EngineError, InvalidRequest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = ["<unk>", "<s>", "</s>", "user", "assistant", *"abcdefghijklmnopqrstuvwxyz"]
TEMPLATE = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}assistant"


@pytest.fixture(scope="module")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    path = tmp_path_factory.mktemp("tiny-llama")
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path, safe_serialization=True)
    return path


@pytest.fixture(scope="module")
def engine(model_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Transformers:
    return loaded(model_directory)


def loaded(path: Path, **parameters: object) -> Transformers:
    class Here:
        def resolve(self, uri: str) -> Path:
            return Path(uri)

    engine = Transformers(TransformersParameters(weights=str(path), device="cpu", **parameters), Here())  # type: ignore[arg-type]
    engine.load()
    return engine


def completion(**fields: object) -> CompletionRequest:
    return CompletionRequest(**{"prompts": ["a b c"], "temperature": 0.0, "max_tokens": 6, **fields})  # type: ignore[arg-type]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def test_it_is_an_engine_that_generates(engine: Transformers) -> None:
    assert isinstance(engine, Generates)


def test_greedy_text_is_the_same_each_time_and_streams_in_pieces(engine: Transformers) -> None:
    first, second = list(engine.generate(completion())), list(engine.generate(completion()))
    assert first == second
    assert len(first) > 2
    assert text(first)
    assert first[-1].prompt_tokens == 3
    assert first[-1].response_tokens == 6
    assert first[-1].finish_reason == "length"


def test_greedy_tokens_are_those_of_the_library_itself(engine: Transformers, model_directory: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(model_directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_directory)
    ids = tokenizer("a b c", return_tensors="pt")["input_ids"]
    expected = model.generate(ids, max_new_tokens=6, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    assert text(list(engine.generate(completion()))) == tokenizer.decode(expected, skip_special_tokens=True)


def test_a_stop_sequence_ends_the_text_and_is_no_part_of_it(engine: Transformers) -> None:
    whole = text(list(engine.generate(completion())))
    stop = whole.split()[2]
    chunks = list(engine.generate(completion(stop_sequences=[stop])))
    assert text(chunks) == whole[: whole.index(stop)]
    assert chunks[-1].finish_reason == "stop"


def test_log_probabilities_come_with_each_token(engine: Transformers) -> None:
    chunks = list(engine.generate(completion(logprobs=True, top_logprobs=3)))
    logprobs = [entry for chunk in chunks for entry in chunk.logprobs or []]
    assert len(logprobs) == 6
    assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 3 for entry in logprobs)
    assert all(entry.top_logprobs[0].logprob == pytest.approx(entry.logprob) for entry in logprobs)  # greedy


def test_penalties_change_what_is_said_again(engine: Transformers) -> None:
    plain = text(list(engine.generate(completion(max_tokens=20)))).split()
    chunks = list(engine.generate(completion(max_tokens=20, presence_penalty=2.0, frequency_penalty=2.0)))
    assert len(set(text(chunks).split())) > len(set(plain))


def test_closing_the_stream_stops_the_model(engine: Transformers) -> None:
    stream = engine.generate(completion(max_tokens=60))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "generate"]


def test_chat_uses_the_template_and_the_requests_own_instead(engine: Transformers) -> None:
    messages = [Message("user", "a b")]
    plain = list(engine.generate(ChatRequest(messages=messages, max_tokens=2, temperature=0.0)))
    own = ChatRequest(messages=messages, max_tokens=2, temperature=0.0, chat_template="{{ messages[0].content }}")
    assert plain[-1].prompt_tokens == 4
    assert list(engine.generate(own))[-1].prompt_tokens == 2


def test_a_prompt_beyond_the_window_is_refused_with_the_counts(engine: Transformers) -> None:
    with pytest.raises(InvalidRequest, match="65 tokens do not fit into the model's window of 64") as caught:
        list(engine.generate(completion(prompts=["a " * 65])))
    assert caught.value.code == "context_overflow"


def test_a_template_that_fails_is_the_requests_fault(engine: Transformers) -> None:
    request = ChatRequest(messages=[Message("user", "a")], chat_template="{{ raise_exception('no user') }}")
    with pytest.raises(InvalidRequest, match="no user"):
        list(engine.generate(request))


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(EngineError, match="no safetensors"):
        loaded(tmp_path)


def test_a_broken_directory_is_an_engine_error(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(EngineError, match="transformers could not load"):
        loaded(tmp_path)
