"""Which files of a hub repository a URI means: pure, so that every naming habit can be tested without a hub."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from modelyard.domain.weight_uris import SAFE_FORMATS, HubPath, is_unsafe, refusal
from modelyard.errors import WeightsError

_BESIDE_WEIGHTS = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "*.spm", "*.vocab")
_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf\Z")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Selection:
    """``path``, relative to the snapshot, is what an engine is given; ``files`` are what it needs."""

    path: str
    files: tuple[str, ...]


def select(source: HubPath, names: Sequence[str]) -> Selection:
    """The files that ``source`` means among all ``names`` of its repository; raises `WeightsError` where it means
    none, only unsafe ones, or several models at once."""
    if source.path is None:
        return _repository(source, names)
    if source.path in names:
        return Selection(source.path, (source.path, *_companions(source.path, names)))
    pattern = source.path if source.is_pattern else f"{source.path.rstrip('/')}/*"
    matched = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
    if not matched:
        raise _nothing(source, names)
    safe = [name for name in matched if not is_unsafe(name) and not name.endswith(".py")]
    if not safe:
        raise WeightsError(f"{refusal(matched[0])}.", code="weights_unsafe_format")
    if source.is_pattern and all(name.endswith(".gguf") for name in safe):
        return _one_gguf(source, safe)
    if source.is_pattern and len(safe) == 1:
        return Selection(safe[0], (safe[0], *_companions(safe[0], names)))
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return Selection(fixed.rpartition("/")[0], tuple(safe))


def _repository(source: HubPath, names: Sequence[str]) -> Selection:
    weights = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    # Some makers ship the same tensors a second time in a layout of their own.
    weights = [name for name in weights if not name.startswith("consolidated")] or weights
    if not weights:
        other = [name for name in names if name.endswith((".gguf", ".onnx", ".safetensors"))]
        unsafe = [name for name in names if is_unsafe(name)]
        if not other and unsafe:
            raise WeightsError(
                f"{source.repo} has no weights but pickles: {refusal(unsafe[0])}.",
                code="weights_unsafe_format",
                hint="Look for a revision or a converted repository.",
            )
        hint = f"Name one: {_some(other)}." if other else f"Weights have to be in {SAFE_FORMATS}."
        raise WeightsError(f"{source.repo} has no safetensors at its top.", code="weights_not_found", hint=hint)
    beside = [name for name in names if "/" not in name and any(fnmatch.fnmatch(name, p) for p in _BESIDE_WEIGHTS)]
    modules = [name for name in names if re.fullmatch(r"\d+_[^/]+/config\.json", name)]  # sentence-transformers
    return Selection("", (*weights, *beside, *modules))


def _companions(name: str, names: Sequence[str]) -> list[str]:
    """Files without which ``name`` is not whole: a GGUF's other shards, an ONNX model's external data."""
    if match := _SHARD.match(name):
        return [other for other in _shards(match["stem"], match["count"], names) if other != name]
    if name.endswith(".onnx"):
        stem = name.removesuffix(".onnx")
        prefixes = (f"{name}_data", f"{name}.data", f"{stem}_data", f"{stem}.data")
        return [other for other in names if other.startswith(prefixes) and not is_unsafe(other)]
    return []


def _shards(stem: str, count: str, names: Sequence[str]) -> list[str]:
    wanted = [f"{stem}-{index:05}-of-{count}.gguf" for index in range(1, int(count) + 1)]
    if missing := [name for name in wanted if name not in names]:
        raise WeightsError(f"The repository lacks {missing[0]}, a part of these weights.", code="weights_not_found")
    return wanted


def _one_gguf(source: HubPath, names: Sequence[str]) -> Selection:
    groups = {(match["stem"], match["count"]) if (match := _SHARD.match(name)) else (name, "") for name in names}
    if len(groups) > 1:
        raise WeightsError(
            f"{source} matches {len(names)} GGUF files, a model needs one.",
            code="weights_not_found",
            hint=f"Choose: {_some(names)}.",
        )
    stem, count = next(iter(groups))
    files = _shards(stem, count, names) if count else [stem]
    return Selection(files[0], tuple(files))


def _nothing(source: HubPath, names: Sequence[str]) -> WeightsError:
    wanted = PurePosixPath(source.path or "").suffix
    alike = [name for name in names if name.endswith(wanted)] if wanted else list(names)
    return WeightsError(
        f"{source.repo} has nothing that is called '{source.path}'.",
        code="weights_not_found",
        hint=f"It holds: {_some(alike or names)}.",
    )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown
