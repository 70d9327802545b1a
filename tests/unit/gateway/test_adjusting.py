"""What becomes of parameters and images that a vendor does not take as they are."""

import pytest

from modelyard.domain.inference import ChatRequest, ImageData, ImageUrl, Message, Part
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters.adjusting import clamped, refuse, whole_top_k
from modelyard.gateway.adapters.images import data_url, inline_image, remote_image

ASK = [Message("user", "Say hi")]


def test_a_number_out_of_range_becomes_the_nearest_and_is_told() -> None:
    notes: list[str] = []
    assert clamped("temperature", 0.5, 0, 1, notes) == 0.5
    assert clamped("temperature", None, 0, 1, notes) is None
    assert notes == []
    assert clamped("temperature", 1.7, 0, 1, notes) == 1
    assert clamped("seed", -3, 0, 9, notes) == 0
    assert notes == [
        "temperature: 1.7 is out of range here, 1 was sent",
        "seed: -3 is out of range here, 0 was sent",
    ]
    assert all(note.isascii() for note in notes)


def test_what_a_vendor_lacks_is_refused_unless_it_asks_for_nothing() -> None:
    reasons = {"presence_penalty": "not here", "seed": "not here either"}
    refuse(ChatRequest(messages=ASK, presence_penalty=0.0), reasons)
    with pytest.raises(InvalidRequest, match="presence_penalty: not here"):
        refuse(ChatRequest(messages=ASK, presence_penalty=0.1), reasons)
    with pytest.raises(InvalidRequest, match="seed"):
        refuse(ChatRequest(messages=ASK, seed=0), reasons)


def test_top_k_is_whole() -> None:
    assert whole_top_k(ChatRequest(messages=ASK, top_k=40.0)) == 40
    assert whole_top_k(ChatRequest(messages=ASK)) is None
    with pytest.raises(InvalidRequest, match="top_k"):
        whole_top_k(ChatRequest(messages=ASK, top_k=1.5))


def test_images_inline_and_elsewhere() -> None:
    inline = Part(image_url=ImageUrl("data:image/png;base64,AAAA", "low"))
    assert inline_image(inline) == ImageData("AAAA", "image/png", "low")
    given = ImageData("AAAA", "image/webp")
    assert inline_image(Part(image_data=given)) == given
    assert data_url(given) == "data:image/webp;base64,AAAA"
    assert inline_image(Part(image_url=ImageUrl("https://example.com/a.png"))) is None
    assert inline_image(Part(text="data:")) is None


@pytest.mark.parametrize(
    "url", ["data:", "data:image/png,AAAA", "data:text/html;base64,AAAA", "data:image/png;base64,"]
)
def test_a_broken_data_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="image_url"):
        inline_image(Part(image_url=ImageUrl(url)))


def test_an_image_elsewhere_is_what_anybody_could_fetch() -> None:
    assert remote_image(Part(image_url=ImageUrl("https://example.com/a.png"))) == "https://example.com/a.png"


@pytest.mark.parametrize(
    "url",
    [
        "gs://bucket/a.png",
        "s3://bucket/a.png",
        "file:///etc/passwd",
        "https://",
        "https://[::1",
        "a.png",
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
    ],
)
def test_an_image_that_only_this_platform_could_fetch_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="image_url"):
        remote_image(Part(image_url=ImageUrl(url)))
