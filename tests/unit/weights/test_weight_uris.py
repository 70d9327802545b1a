import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.domain.weight_uris import PICKLES, BucketKey, HubPath, LocalPath, WheelMember, parse

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("file:/srv/m.gguf", LocalPath("/srv/m.gguf")),
        ("file:///srv/with%20space.gguf", LocalPath("/srv/with space.gguf")),
        ("file://localhost/srv/m.gguf", LocalPath("/srv/m.gguf")),
        ("hf:org/repo", HubPath("org/repo")),
        ("hf://org/repo/a/b.gguf", HubPath("org/repo", None, "a/b.gguf")),
        ("hf:org/repo@v1.0/m.onnx", HubPath("org/repo", "v1.0", "m.onnx")),
        ("hf:org/repo@refs/pr/3/m.onnx", HubPath("org/repo", "refs/pr/3", "m.onnx")),
        ("hf:org/repo@feature%2Fx", HubPath("org/repo", "feature/x")),
        ("hf:org/repo/*Q4_0.gguf", HubPath("org/repo", None, "*Q4_0.gguf")),
        ("s3:bucket/a/b.gguf", BucketKey("s3", "bucket", "a/b.gguf")),
        ("gs://bucket/dir/", BucketKey("gs", "bucket", "dir/")),
        ("az:container/blob.onnx", BucketKey("az", "container", "blob.onnx")),
        ("pypi:a-b==1.0.post1+cpu/a_b/m.gguf", WheelMember("a-b", "1.0.post1+cpu", "a_b/m.gguf")),
    ],
)
def test_reads_every_form(uri, source):
    assert parse(uri).source == source
    assert parse(str(source)).source == source
    pinned = parse(f"{uri}#sha256={DIGEST.upper()}")
    assert (pinned.source, pinned.sha256) == (source, DIGEST)
    assert parse(str(pinned)) == pinned


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "no weight URI"),
        ("model.gguf", "no weight URI"),
        ("https://example.com/m.gguf", "no weight URI"),
        ("file:relative.gguf", "absolute"),
        ("file://elsewhere/m.gguf", "this machine"),
        ("hf:just-a-name", "org/repo"),
        ("hf:org/repo/../secret.json", "inside a repository"),
        ("hf:org/repo//m.gguf", "inside a repository"),
        ("s3:bucket", "bucket/key"),
        ("s3:bucket/../m.gguf", "inside a bucket"),
        ("pypi:package/m.gguf", "exact version"),
        ("pypi:package>=1/m.gguf", "exact version"),
        ("pypi:--index-url==1/m.gguf", "exact version"),
        ("pypi:p==1", "path"),
        ("pypi:p==1//etc/m.gguf", "inside a wheel"),
        ("pypi:p==1/a/../../m.gguf", "inside a wheel"),
        ("s3:bucket/a\nb.gguf", "printable"),
        ("file:/m\x00.gguf", "printable"),
        ("file:/m.gguf#sha256=12", "64 hexadecimal"),
    ],
)
def test_says_what_is_wrong_and_how_it_is_written(uri, says):
    with pytest.raises(ValueError, match=says):
        parse(uri)


@pytest.mark.parametrize("suffix", sorted(PICKLES))
@pytest.mark.parametrize("form", ["file:/srv/m{}", "hf:org/repo/m{}", "s3:bucket/m{}", "pypi:p==1/m{}"])
def test_refuses_pickles_by_name(form, suffix):
    for written in (suffix, suffix.upper()):
        with pytest.raises(ValueError, match="safetensors, gguf or onnx"):
            parse(form.format(written))


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for uri in (text, f"hf:{text}", f"s3:{text}", f"pypi:{text}", f"file:{text}"):
        try:
            parsed = parse(uri)
        except ValueError:
            continue
        assert parse(str(parsed.source)).source == parsed.source
