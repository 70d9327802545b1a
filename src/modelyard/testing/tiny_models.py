"""Models small enough to make in a test: random or hand-set weights, real formats, real engines.

The ONNX ones need the ``onnx`` package, which modelyard itself does not.
"""

from pathlib import Path
from typing import Any

import numpy as np

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""What `tiny_gguf` understands as a chat."""

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "green", "blue", "cat", "dog", "bird", "one", "two", "three")
"""The vocabulary of `tiny_embedding` and `tiny_cross_encoder`; any other word is [UNK]."""

DIMENSIONS = 6


def tiny_gguf(path: Path, *, layers: int = 2, window: int = 512) -> Path:
    """A Llama with random weights of about 200 kB, with a byte-level tokenizer: one token for each byte."""
    import gguf

    width, heads, inner = 64, 2, 128
    symbols = _byte_symbols()
    tokens = [*symbols, "<s>", "</s>"]
    kinds = [gguf.TokenType.NORMAL] * len(symbols) + [gguf.TokenType.CONTROL] * 2
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(window)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{symbols[0]} {symbols[1]}"])
    writer.add_bos_token_id(len(symbols))
    writer.add_eos_token_id(len(symbols) + 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, shape in _llama_shapes(layers, width, inner, len(tokens)).items():
        writer.add_tensor(name, _weights(name, shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _llama_shapes(layers: int, width: int, inner: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, width),
        "output_norm.weight": (width,),
        "output.weight": (vocabulary, width),
    }
    for layer in range(layers):
        block = f"blk.{layer}."
        shapes |= {f"{block}{name}.weight": (width, width) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
        shapes |= {f"{block}{name}.weight": (width,) for name in ("attn_norm", "ffn_norm")}
        shapes |= {f"{block}{name}.weight": (inner, width) for name in ("ffn_gate", "ffn_up")}
        shapes[f"{block}ffn_down.weight"] = (width, inner)
    return shapes


def _weights(name: str, shape: tuple[int, ...]) -> Any:
    if len(shape) == 1:
        return np.ones(shape, dtype=np.float32)
    seed = [ord(letter) for letter in name]
    return np.random.default_rng(seed).normal(scale=0.3, size=shape).astype(np.float32)


def _byte_symbols() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the bytes' order."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def tiny_embedding(directory: Path) -> Path:
    """``model.onnx`` and ``tokenizer.json``: each token's vector is one row of a fixed table, see `table`."""
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", DIMENSIONS])
    graph = helper.make_graph(
        [node], "tiny", _inputs(helper, TensorProto, "input_ids"), [output], [numpy_helper.from_array(table(), "table")]
    )
    return _saved(directory, graph)


def tiny_cross_encoder(directory: Path) -> Path:
    """Scores a pair by the sum of its tokens' first numbers in `table`, the second text counting twice;
    padding counts nothing. The output is ``logits``, shape (pairs, 1)."""
    from onnx import TensorProto, helper, numpy_helper

    first = np.ascontiguousarray(table()[:, :1])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["values"]),
        helper.make_node("Add", ["attention_mask", "token_type_ids"], ["weights_int"]),
        helper.make_node("Mul", ["weights_int", "attention_mask"], ["masked_int"]),
        helper.make_node("Cast", ["masked_int"], ["masked"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["masked", "last"], ["weights"]),
        helper.make_node("Mul", ["values", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "tokens"], ["logits"], keepdims=0),
    ]
    constants = [
        numpy_helper.from_array(first, "table"),
        numpy_helper.from_array(np.array([2]), "last"),
        numpy_helper.from_array(np.array([1]), "tokens"),
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    inputs = _inputs(helper, TensorProto, "input_ids", "attention_mask", "token_type_ids")
    return _saved(directory, helper.make_graph(nodes, "tiny", inputs, [output], constants))


def table() -> Any:
    """The rows that `tiny_embedding` looks up, shape (len(WORDS), DIMENSIONS), float32."""
    return np.random.default_rng(7).normal(size=(len(WORDS), DIMENSIONS)).astype(np.float32)


def _inputs(helper: Any, types: Any, *names: str) -> list[Any]:
    return [helper.make_tensor_value_info(name, types.INT64, ["batch", "tokens"]) for name in names]


def _saved(directory: Path, graph: Any) -> Path:
    import onnx
    from onnx import helper
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    directory.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(directory / "model.onnx"))
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106  # a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory
