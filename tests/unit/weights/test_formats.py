import pickle
import zipfile

import pytest
from gguf import GGUFReader

from modelyard.errors import WeightsError
from modelyard.weights import formats

NAMES = ["model.gguf", "model.safetensors", "model.onnx", "tokenizer.json"]


@pytest.mark.parametrize("name", NAMES)
def test_whole_files_pass(make_weights, tmp_path, name):
    formats.check(make_weights(tmp_path / name))


@pytest.mark.parametrize("name", NAMES)
def test_every_truncation_is_noticed(make_weights, tmp_path, name):
    path = make_weights(tmp_path / name)
    whole = path.read_bytes()
    ends = range(len(whole))
    if name == "model.gguf":  # what lies behind the last tensor is padding, and may be missing
        last = max(tensor.data_offset + tensor.n_bytes for tensor in GGUFReader(path).tensors)
        ends = range(int(last))
    if name == "model.onnx":  # a graph may be followed by further fields; without those it is still whole
        ends = range(len(whole) - 8)
    for end in ends:
        path.write_bytes(whole[:end])
        with pytest.raises(WeightsError, match=r"truncated or not what its name claims"):
            formats.check(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "content", [b"<html>404</html>", b"\x00" * 4096, b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_other_content_is_not_what_it_claims(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        formats.check(tmp_path / name)
    assert caught.value.code == "weights_invalid"
    assert caught.value.hint


@pytest.mark.parametrize("name", NAMES)
def test_one_format_does_not_pass_for_another(make_weights, tmp_path, name):
    for other in NAMES:
        if other != name:
            path = tmp_path / name
            path.write_bytes(make_weights(tmp_path / f"source{other[other.index('.') :]}").read_bytes())
            with pytest.raises(WeightsError):
                formats.check(path)


@pytest.mark.parametrize("name", [*NAMES, "no-suffix", "vocab.txt"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_in_disguise_are_refused(tmp_path, name, protocol):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"weight": list(range(50))}, protocol=protocol))
    with pytest.raises(WeightsError, match="can run code") as caught:
        formats.check(path)
    assert caught.value.code == "weights_unsafe_format"
    with zipfile.ZipFile(path, "w") as archive:  # as torch.save writes it
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    with pytest.raises(WeightsError, match="can run code"):
        formats.check(path)


def test_a_safetensors_header_length_is_no_pickle(make_weights, tmp_path):
    """A length of 0x0280 or so begins with the bytes of a pickle."""
    path = make_weights(tmp_path / "m.safetensors")
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    padded = 0x0380
    header = whole[8 : 8 + length] + b" " * (padded - length)
    path.write_bytes(padded.to_bytes(8, "little") + header + whole[8 + length :])
    assert path.read_bytes()[:2] == b"\x80\x03"
    formats.check(path)


def test_a_directory_is_as_whole_as_its_weights(make_weights, tmp_path):
    make_weights(tmp_path / "model.safetensors")
    (tmp_path / "deep").mkdir()
    broken = make_weights(tmp_path / "deep" / "model.onnx")
    formats.check(tmp_path)
    broken.write_bytes(broken.read_bytes()[:40])
    with pytest.raises(WeightsError, match=r"model\.onnx"):
        formats.check(tmp_path)


def test_a_directory_without_weights_is_refused(make_weights, tmp_path):
    make_weights(tmp_path / "config.json")
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(WeightsError, match="safetensors, gguf or onnx"):
        formats.check(tmp_path)
