"""`s3:` against moto's S3 server on loopback."""

import sys

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from modelyard.errors import WeightsError
from modelyard.weights import bucket

MEBI = 1024 * 1024


@pytest.fixture(scope="module")
def server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(server, monkeypatch):
    """A client of the server; the environment points everything that speaks S3 there."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="weights")
    yield client
    for each in client.list_objects_v2(Bucket="weights").get("Contents", []):
        client.delete_object(Bucket="weights", Key=each["Key"])
    client.delete_bucket(Bucket="weights")


def test_an_object_comes_once_and_is_checked(s3, fresh_cache):
    s3.put_object(Bucket="weights", Key="chat/tokenizer.json", Body=b'{"version": "1.0"}')
    seen = []
    path = fresh_cache.resolve("s3:weights/chat/tokenizer.json", on_progress=seen.append)
    assert path.read_bytes() == b'{"version": "1.0"}'
    assert seen[-1].total_bytes == 18
    s3.delete_object(Bucket="weights", Key="chat/tokenizer.json")
    assert fresh_cache.resolve("s3://weights/chat/tokenizer.json") == path
    s3.put_object(Bucket="weights", Key="chat/model.gguf", Body=b"no GGUF at all")
    with pytest.raises(WeightsError, match="begins with the letters GGUF"):
        fresh_cache.resolve("s3:weights/chat/model.gguf")


def test_a_directory_comes_without_its_pickles(s3, fresh_cache, safetensors):
    for key, body in {
        "m/config.json": b"{}",
        "m/model.safetensors": safetensors,
        "m/pytorch_model.bin": b"pickle",
        "m/1_Pooling/config.json": b"{}",
        "other/config.json": b"{}",
    }.items():
        s3.put_object(Bucket="weights", Key=key, Body=body)
    path = fresh_cache.resolve("s3:weights/m/")
    files = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    assert files == ["1_Pooling/config.json", "config.json", "model.safetensors"]


class Cut(Exception):
    """Stands in for a connection that breaks, or a process that is killed."""


def cut_after(blocks, monkeypatch):
    """Let ``blocks`` reads of remote files succeed, then none; counts the bytes read."""
    opened, read = fsspec.filesystem("s3").__class__.open, []

    def opening(self, *args, **kwargs):
        file = opened(self, *args, **kwargs)
        inner = file.read

        def reading(size):
            if len(read) >= blocks:
                raise Cut
            read.append(len(block := inner(size)))
            return block

        file.read = reading
        return file

    monkeypatch.setattr(fsspec.filesystem("s3").__class__, "open", opening)
    return read


@pytest.fixture
def large(s3, monkeypatch):
    monkeypatch.setattr(bucket, "_BLOCK_BYTES", 5 * MEBI)
    body = b"0123456789abcdef" * (MEBI // 16) * 20
    s3.put_object(Bucket="weights", Key="large.txt", Body=body)
    return body


def test_a_download_that_was_cut_off_goes_on(large, fresh_cache, monkeypatch):
    with monkeypatch.context() as patch:
        cut_after(2, patch)
        with pytest.raises(WeightsError, match="cannot be read") as caught:
            fresh_cache.resolve("s3:weights/large.txt")
        assert caught.value.code == "weights_unreachable"
    read = cut_after(99, monkeypatch)
    assert fresh_cache.resolve("s3:weights/large.txt").read_bytes() == large
    assert sum(read) == len(large) - 10 * MEBI


def test_an_object_that_changed_meanwhile_starts_over(s3, large, fresh_cache, monkeypatch):
    with monkeypatch.context() as patch:
        cut_after(2, patch)
        with pytest.raises(WeightsError):
            fresh_cache.resolve("s3:weights/large.txt")
    changed = large.swapcase()
    s3.put_object(Bucket="weights", Key="large.txt", Body=changed)
    assert fresh_cache.resolve("s3:weights/large.txt").read_bytes() == changed


def test_what_is_not_there_or_not_readable_is_explained(s3, fresh_cache, monkeypatch):
    for uri in ("s3:weights/none.gguf", "s3:weights/none/", "s3:nobucket/none.gguf"):
        with pytest.raises(WeightsError) as caught:
            fresh_cache.resolve(uri)
        assert caught.value.code == "weights_not_found"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(WeightsError) as caught:
        fresh_cache.resolve("s3:weights/none.gguf")
    assert caught.value.code == "weights_unreachable"


@pytest.mark.parametrize(("scheme", "module"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_missing_library_is_named_with_its_extra(fresh_cache, monkeypatch, scheme, module):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    with pytest.raises(WeightsError) as caught:
        fresh_cache.resolve(f"{scheme}:weights/m.gguf")
    assert caught.value.code == "missing_extra"
    assert f"pip install 'modelyard[{scheme}]'" in str(caught.value)
