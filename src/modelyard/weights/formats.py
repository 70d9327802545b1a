"""Whether a file is whole and is what its name claims, told from its structure without loading it.

- GGUF: magic, version, metadata and tensor table walked; every tensor must end within the file
  (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
- safetensors: 8 bytes of header length, a JSON header, tensors that fill the rest exactly
  (https://huggingface.co/docs/safetensors/index#format).
- ONNX: no magic; its protobuf message must be complete and hold a graph.
- JSON: must parse.

Anything else passes unless it is a pickle in disguise.
"""

import json
import math
import mmap
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

from modelyard.domain.weight_uris import SAFE_FORMATS, is_unsafe, refusal
from modelyard.errors import WeightsError

WEIGHT_SUFFIXES = frozenset({".gguf", ".safetensors", ".onnx"})

_MAX_HEADER = 100 * 1024 * 1024  # what the safetensors library itself allows
_GGUF_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_GGUF_STRING, _GGUF_ARRAY = 8, 9
_ONNX_GRAPH = 7
_REMEDY = "Fetch it again (modelyard pull --refresh URI), or name another file."


class _Wrong(Exception):
    """Why a file is not what it claims."""


def check(path: Path) -> None:
    """Raise `WeightsError` unless ``path`` is a whole file of the format that its name claims, or a directory
    of which every safetensors, GGUF and ONNX file is one."""
    if path.is_dir():
        weights = sorted(file for file in _near(path) if file.suffix.lower() in WEIGHT_SUFFIXES and file.is_file())
        if not weights:
            raise WeightsError(
                f"{path} holds no weights in {SAFE_FORMATS}.",
                code="weights_invalid",
                hint="Name a directory with such a file.",
            )
        for file in weights:
            _check_file(file)
    else:
        _check_file(path)


def _near(directory: Path) -> Iterator[Path]:
    """What lies in a directory and one below it: where models keep weights. Never a walk over a whole disk."""
    for depth in ("*", "*/*"):
        yield from directory.glob(depth)


def _check_file(path: Path) -> None:
    if is_unsafe(path.name):
        raise WeightsError(f"{refusal(path.name)}.", code="weights_unsafe_format")
    try:
        if path.stat().st_size == 0:
            raise _Wrong("it is empty")
        if _is_pickle(path):
            raise WeightsError(f"{refusal(path.name)}.", code="weights_unsafe_format")
        checker = _CHECKERS.get(path.suffix.lower())
        if checker is not None:
            checker(path)
    except _Wrong as error:
        raise WeightsError(
            f"{path.name} is truncated or not what its name claims: {error}.", code="weights_invalid", hint=_REMEDY
        ) from error
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read: {error.strerror or error}.",
            code="weights_not_found",
            hint="Look at the path and its permissions.",
        ) from error


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(16)
        if head[:1] == b"\x80" and len(head) > 1 and 2 <= head[1] <= 5:
            return _begins_as_pickle(head)
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:  # torch.save writes a zip with data.pkl inside
                return any(name.endswith(".pkl") for name in archive.namelist())
        except zipfile.BadZipFile:
            return False
    return False


def _begins_as_pickle(head: bytes) -> bool:
    # A safetensors length or a protobuf may begin with the same two bytes; a third that is no opcode tells.
    return len(head) < 3 or head[2] in {ord(opcode.code) for opcode in pickletools.opcodes}


def _check_gguf(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:4] != b"GGUF":
            raise _Wrong(f"a GGUF file begins with the letters GGUF, this one with {bytes(data[:4])!r}")
        try:
            end = _gguf_end(data)
        except (struct.error, IndexError, KeyError, OverflowError, UnicodeDecodeError) as error:
            raise _Wrong("its header is cut off or broken") from error
        if end > len(data):
            raise _Wrong(f"its tensors need {end:,} bytes, the file has {len(data):,}")


def _gguf_end(data: mmap.mmap) -> int:
    """Where the last tensor ends, in bytes from the beginning of the file."""
    version, tensors, entries = struct.unpack_from("<IQQ", data, 4)
    if version not in (2, 3):
        raise _Wrong(f"its GGUF version is {version}; 2 and 3 are known")
    at, alignment = 24, 32
    for _ in range(entries):
        key_length = struct.unpack_from("<Q", data, at)[0]
        key = data[at + 8 : at + 8 + key_length]
        at += 8 + key_length
        kind = struct.unpack_from("<I", data, at)[0]
        if key == b"general.alignment":
            alignment = struct.unpack_from("<I", data, at + 4)[0]
        at = _skip_value(data, at + 4, kind)
    needed = 0
    for _ in range(tensors):
        at += 8 + struct.unpack_from("<Q", data, at)[0]
        dimensions = struct.unpack_from("<I", data, at)[0]
        *shape, kind, offset = struct.unpack_from(f"<{dimensions}QIQ", data, at + 4)
        at += 4 + 8 * dimensions + 12
        needed = max(needed, offset + _tensor_bytes(shape, kind))
    if not tensors:
        return at
    if alignment < 1:
        raise _Wrong("its alignment is 0")
    return -(-at // alignment) * alignment + needed


def _skip_value(data: mmap.mmap, at: int, kind: int) -> int:
    if kind == _GGUF_STRING:
        at += 8 + struct.unpack_from("<Q", data, at)[0]
    elif kind == _GGUF_ARRAY:
        inner, count = struct.unpack_from("<IQ", data, at)
        at += 12
        if inner in _GGUF_SCALARS:
            at += _GGUF_SCALARS[inner] * count
        else:
            for _ in range(count):
                at = _skip_value(data, at, inner)
    else:
        at += _GGUF_SCALARS[kind]
    if at > len(data):
        raise IndexError(at)
    return at


def _tensor_bytes(shape: list[int], kind: int) -> int:
    try:
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
    except (ValueError, KeyError):  # a type newer than the table: its length stays unchecked
        return 0
    return math.prod(shape) // block * size


def _check_safetensors(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = int.from_bytes(head, "little")
        if len(head) < 8 or length > min(size - 8, _MAX_HEADER):
            raise _Wrong(f"its header claims {length:,} bytes, the file has {size:,}")
        try:
            header = msgspec.json.decode(file.read(length), type=dict[str, dict[str, msgspec.Raw]])
            ends = [
                msgspec.json.decode(entry["data_offsets"], type=tuple[int, int])[1]
                for name, entry in header.items()
                if name != "__metadata__"
            ]
        except (msgspec.DecodeError, KeyError) as error:
            raise _Wrong("its header does not list tensors") from error
    expected = 8 + length + max(ends, default=0)
    if expected != size:
        raise _Wrong(f"its tensors need {expected:,} bytes, the file has {size:,}")


def _check_onnx(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, has_graph = 0, False
        while at < len(data):
            try:
                tag, at = _varint(data, at)
                at = _skip_field(data, at, tag & 7)
            except IndexError as error:
                raise _Wrong("its protobuf message is cut off or broken") from error
            has_graph = has_graph or tag >> 3 == _ONNX_GRAPH
        if not has_graph:
            raise _Wrong("it holds no graph")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError(at)


def _skip_field(data: mmap.mmap, at: int, wire_type: int) -> int:
    match wire_type:
        case 0:
            at = _varint(data, at)[1]
        case 1:
            at += 8
        case 2:
            length, at = _varint(data, at)
            at += length
        case 5:
            at += 4
        case _:
            raise IndexError(at)
    if at > len(data):
        raise IndexError(at)
    return at


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _Wrong("it is no JSON") from error


_CHECKERS: dict[str, Callable[[Path], None]] = {
    ".gguf": _check_gguf,
    ".safetensors": _check_safetensors,
    ".onnx": _check_onnx,
    ".json": _check_json,
}
