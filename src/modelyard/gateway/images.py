"""Images that stand elsewhere, for vendors that fetch none themselves: fetched by us where the settings allow it, from
public addresses only, within bounds of size, time and number; never otherwise.

What an image is, its own first bytes say, and not the server that sends it.
"""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from modelyard.domain.inference import ChatRequest, ImageData, Message, Part, TextRequest
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest, ModelyardError
from modelyard.gateway.adapters.images import inline_image
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.gateway.addresses import PrivateAddress, public_addresses
from modelyard.gateway.opening import port_of
from modelyard.gateway.together import together
from modelyard.gateway.upstream import Answer, Lost, Patience, Upstream, Way
from modelyard.gateway.vendors.formats import fetches_images

MOST_BYTES = 20 * 1024 * 1024
"""Of all images of a call together."""
MOST_IMAGES = 20
MOST_LETTERS = 8192
"""Of an address."""
MOST_REDIRECTS = 3
SECONDS = 10.0
"""For all of them, redirects included."""

_PATIENCE = Patience(SECONDS, SECONDS, "The image's server", Way.GUARDED)
_REDIRECTS = (301, 302, 303, 307, 308)
_MAGIC = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"))
_FIELD = ("body", "messages", "content", "image_url")


class Images:
    def __init__(self, upstream: Upstream, *, allowed: bool) -> None:
        self._upstream = upstream
        self._allowed = allowed

    async def inlined(self, target: VendorTarget, request: TextRequest) -> TextRequest:
        """``request`` with every image in it, where the vendor of ``target`` fetches none. Raises `InvalidRequest` for
        those that are not, or may not be, fetched."""
        if not isinstance(request, ChatRequest) or fetches_images(target.vendor):
            return request
        urls = list(dict.fromkeys(_elsewhere(request)))
        if not urls or (fetches_images(target.vendor) is None and await _fetches(target)):
            return request
        if not self._allowed:
            raise _refused(
                f"{target.vendor} fetches no images, and neither does this server "
                "(MODELYARD_SECURITY__FETCH_IMAGES); send it inline, as image_data or as a data URL"
            )
        if len(urls) > MOST_IMAGES:
            raise _refused(f"there are {len(urls)} images to be fetched; at most {MOST_IMAGES} are")
        images = dict(zip(urls, await self._all_of(urls), strict=True))
        return msgspec.structs.replace(request, messages=[_with(message, images) for message in request.messages])

    async def _all_of(self, urls: list[str]) -> list[ImageData]:
        left = _Left()
        try:
            async with asyncio.timeout(SECONDS):
                return await together(lambda url: self._fetched(url, left), urls)
        except TimeoutError as error:
            raise _refused(f"fetching the images took more than {SECONDS:g} seconds") from error

    async def _fetched(self, url: str, left: "_Left") -> ImageData:
        try:
            data = await self._body(url, left)
        except Lost as lost:
            private = isinstance(lost.__cause__, PrivateAddress)
            why = "it is in a private network" if private else "its server cannot be reached"
            raise _refused(f"the image at {_shown(url)} was not fetched: {why}") from lost
        except InvalidRequest:
            raise
        except ModelyardError as error:
            raise _refused(f"the image at {_shown(url)} was not fetched: {error}") from error
        media_type = _type_of(data)
        if media_type is None:
            raise _refused(f"what is at {_shown(url)} is no PNG, JPEG, GIF or WebP image")
        return ImageData(base64.b64encode(data).decode("ascii"), media_type)

    async def _body(self, url: str, left: "_Left") -> bytes:
        for _ in range(MOST_REDIRECTS + 1):
            answer = await self._asked(url)
            if answer.status not in _REDIRECTS:
                return await _read(answer, url, left)
            onwards = answer.header("location")
            answer.close()
            if not onwards:
                break
            url = urljoin(url, onwards)
        raise _refused(f"the image at {_shown(url)} is not there, but always elsewhere")

    async def _asked(self, url: str) -> Answer:
        parts = _parsed(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        wire = WireRequest(path, b"", method="GET", headers=(("accept-encoding", "identity"),))
        return await self._upstream.send(f"{parts.scheme}://{parts.netloc}", wire, _PATIENCE)


@dataclass(slots=True)
class _Left:
    """What the images of one call may still be."""

    bytes: int = field(default_factory=lambda: MOST_BYTES)


async def _fetches(target: VendorTarget) -> bool:
    """Whether the server behind ``target`` may be told addresses: none that stands within our own walls, where it could
    be made to look around, or of which nobody knows where it stands."""
    try:
        url = urlsplit(target.base_url)
        await public_addresses(url.hostname or "", port_of(url))
    except OSError:
        return False
    return bool(url.hostname)


def _parsed(url: str) -> SplitResult:
    """Raises `InvalidRequest` where ``url`` is no address of something that anybody could fetch."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
        fine = fine and parts.netloc.isascii() and parts.port != 0 and len(url) <= MOST_LETTERS
    except ValueError:
        fine = False
    if not fine:
        raise _refused("an image's address is one of http or https, in ASCII, not too long, and without a password")
    return parts


async def _read(answer: Answer, url: str, left: _Left) -> bytes:
    if answer.status != 200:
        answer.close()
        raise _refused(f"the image at {_shown(url)} was not fetched: its server answers with status {answer.status}")
    pieces = []
    try:
        while piece := await answer.read_some():
            left.bytes -= len(piece)
            if left.bytes < 0:
                raise _refused(f"with the image at {_shown(url)} there are more than {MOST_BYTES // 1024**2} MiB")
            pieces.append(piece)
    finally:
        answer.close()
    return b"".join(pieces)


def _elsewhere(request: ChatRequest) -> Iterator[str]:
    for message in request.messages:
        for part in message.content if not isinstance(message.content, str) else ():
            if part.image_url is not None and inline_image(part) is None:
                yield part.image_url.url


def _with(message: Message, images: dict[str, ImageData]) -> Message:
    if isinstance(message.content, str):
        return message
    return msgspec.structs.replace(message, content=[_inline(part, images) for part in message.content])


def _inline(part: Part, images: dict[str, ImageData]) -> Part:
    if part.image_url is None or part.image_url.url not in images:
        return part
    image = msgspec.structs.replace(images[part.image_url.url], detail=part.image_url.detail)
    return Part(image_data=image)


def _type_of(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for start, kind in _MAGIC if data.startswith(start)), None)


def _shown(url: str) -> str:
    """Without what may be a secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"[:200]


def _refused(msg: str) -> InvalidRequest:
    return InvalidRequest.at(*_FIELD, msg=msg, code="image_not_fetched")
