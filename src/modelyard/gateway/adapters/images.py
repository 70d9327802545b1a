"""Images in messages: what is given inline, as base64 or as a ``data:`` URL, and what stands elsewhere.

Data URLs: RFC 2397, of which only base64 is taken.
"""

from modelyard.domain.inference import ImageData, Part
from modelyard.errors import InvalidRequest


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


def data_url(image: ImageData) -> str:
    """``image`` as a URL of its own."""
    return f"data:{image.media_type};base64,{image.data}"
