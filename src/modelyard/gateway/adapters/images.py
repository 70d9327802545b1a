"""Images in messages: what is given inline, as base64 or as a ``data:`` URL, and what the vendor is to fetch.

Data URLs: RFC 2397, of which only base64 is taken.
"""

from urllib.parse import urlsplit

from modelyard.domain.inference import ImageData, Part
from modelyard.errors import InvalidRequest

_KEEP_FILES_OF_CALLERS = ("generativelanguage.googleapis.com",)
"""Hosts whose URLs mean files that belong to the key with which they are asked."""


def inline_image(part: Part) -> ImageData | None:
    """The image that ``part`` carries in itself; None where it is a text, or an image to be fetched.

    Raises `InvalidRequest` for a ``data:`` URL that is not a base64 image.
    """
    if part.image_data is not None:
        return part.image_data
    if part.image_url is None or not part.image_url.url.startswith("data:"):
        return None
    head, comma, data = part.image_url.url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or not data or not media_type.startswith("image/") or parameters[-1:] != ["base64"]:
        msg = "a data URL of an image looks like data:image/png;base64,…"
        raise InvalidRequest.at("body", "messages", "content", "image_url", msg=msg)
    return ImageData(data, media_type, part.image_url.detail)


def remote_image(part: Part) -> str:
    """The URL of an image that the vendor is to fetch as anybody could.

    Raises `InvalidRequest` for other schemes: a vendor reads ``gs://`` and ``s3://`` with the rights of whoever calls
    it, which here is this platform and not the caller.
    """
    assert part.image_url is not None
    url = part.image_url.url
    try:
        address = urlsplit(url)
        fine = address.scheme in ("http", "https") and bool(address.hostname)
        fine = fine and address.hostname not in _KEEP_FILES_OF_CALLERS
    except ValueError:
        fine = False
    if not fine:
        msg = "must be a public https:// address, or a data URL such as data:image/png;base64,..."
        raise InvalidRequest.at("body", "messages", "content", "image_url", msg=msg)
    return url


def data_url(image: ImageData) -> str:
    """``image`` as a URL of its own."""
    return f"data:{image.media_type};base64,{image.data}"
