"""Requantise a GGUF file: the same model in another number format, made once.

After ``llama_tensor_get_type`` of llama.cpp's ``llama-quantize``: the layers' matrices take the wanted format;
norms, biases and other vectors stay as they are; the embedding and output matrices, which cost quality most, stay
at 6 to 8 bits, so they are only made smaller (Q8_0) where they come in 16 or 32.
"""

from pathlib import Path
from typing import Any

from modelyard.errors import EngineError

_DELICATE = ("token_embd.weight", "output.weight", "per_layer_token_embd.weight")
_KEPT_PARTS = ("_norm", "ffn_gate_inp", "pos_embd", "token_types", "ssm_conv1d", "rope_freqs", "time_mix")
_ROW_BLOCK = 32
"""Q4_0 and Q8_0 put this many numbers of a row under one scale."""


def requantise(source: Path, target: Path, format_name: str) -> None:
    """Write the model in ``source`` to ``target`` with its layers' matrices in ``format_name``, such as Q4_0.

    Raises `EngineError` for what is no GGUF file or holds a format that cannot be read back to numbers. Needs
    memory for one tensor in float32 at a time.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(source)
    except (ValueError, OSError, IndexError) as error:
        raise EngineError(f"{source.name} is not a whole GGUF file: {error}") from error
    if reader.endianess != gguf.GGUFEndian.LITTLE:
        raise EngineError(f"{source.name} is big-endian; only little-endian files can be requantised.")
    wanted = gguf.GGMLQuantizationType[format_name]
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    _copy_fields(reader, writer, gguf.LlamaFileType[f"MOSTLY_{format_name}"].value)
    formats = {tensor.name: _format(tensor, wanted) for tensor in reader.tensors}
    for tensor in reader.tensors:
        _announce(writer, tensor, formats[tensor.name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in reader.tensors:
        writer.write_tensor_data(_converted(tensor, formats[tensor.name], source))
    writer.close()


def _copy_fields(reader: Any, writer: Any, file_type: int) -> None:
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue  # the writer's own
        kind = field.types[0]
        value = file_type if field.name == "general.file_type" else field.contents()
        if value is not None:
            inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, value, kind, sub_type=inner)


def _format(tensor: Any, wanted: Any) -> Any:
    """The format that a tensor gets."""
    from gguf import GGMLQuantizationType

    present = tensor.tensor_type
    is_matrix = len(tensor.shape) >= 2 and tensor.name.endswith("weight") and tensor.shape[0] % _ROW_BLOCK == 0
    if not is_matrix or any(part in tensor.name for part in _KEPT_PARTS):
        return present
    if tensor.name not in _DELICATE:
        return wanted
    wide = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16)
    return GGMLQuantizationType.Q8_0 if present in wide else present


def _announce(writer: Any, tensor: Any, goal: Any) -> None:
    import numpy as np
    from gguf.quants import quant_shape_to_byte_shape

    if goal == tensor.tensor_type:
        writer.add_tensor_info(tensor.name, tensor.data.shape, tensor.data.dtype, tensor.data.nbytes, goal)
        return
    shape = quant_shape_to_byte_shape([int(size) for size in reversed(tensor.shape)], goal)
    writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), int(np.prod(shape)), goal)


def _converted(tensor: Any, goal: Any, source: Path) -> Any:
    from gguf.quants import dequantize, quantize

    if goal == tensor.tensor_type:
        return tensor.data
    try:
        return quantize(dequantize(tensor.data, tensor.tensor_type), goal)
    except NotImplementedError as error:
        raise EngineError(
            f"{source.name} has tensors in {tensor.tensor_type.name}, which cannot be requantised.",
            hint="Leave the parameter 'quantization' empty.",
        ) from error
