"""Vendors behind an HTTP proxy of the environment (``HTTPS_PROXY``, ``NO_PROXY``): a tunnel by CONNECT.

Only to https addresses, and through proxies that are spoken to over http. RFC 9110, 9.3.6.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

_MAX_HEAD_BYTES = 64 * 1024

P = TypeVar("P", bound=asyncio.Protocol)


def proxy_for(scheme: str, host: str, port: int) -> str | None:
    """The proxy that the environment sets for ``host``, if it does."""
    if scheme != "https" or proxy_bypass(f"{host}:{port}"):
        return None
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    return proxy if proxy and urlsplit(proxy).scheme == "http" else None


async def through(proxy: str, host: str, port: int, tls: ssl.SSLContext, made: Callable[[], P]) -> P:
    """A protocol that speaks TLS with ``host`` through ``proxy``; OSError where the proxy refuses."""
    loop = asyncio.get_running_loop()
    url = urlsplit(proxy)
    transport, opening = await loop.create_connection(_Opening, url.hostname or "", url.port or 80)
    try:
        transport.write(_connect(host, port, url.username, url.password))
        await opening.opened
        protocol = made()
        secured = await loop.start_tls(transport, protocol, tls, server_hostname=host)
    except BaseException:
        transport.abort()
        raise
    if secured is None:
        raise OSError("the proxy closed the tunnel")
    protocol.connection_made(secured)
    return protocol


def _connect(host: str, port: int, user: str | None, password: str | None) -> bytes:
    name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {name} HTTP/1.1", f"host: {name}"]
    if user is not None:
        secret = base64.b64encode(f"{unquote(user)}:{unquote(password or '')}".encode()).decode()
        lines.append(f"proxy-authorization: Basic {secret}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class _Opening(asyncio.Protocol):
    """Waits for the proxy's answer."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self.opened.done() or (b"\r\n\r\n" not in self._head and len(self._head) < _MAX_HEAD_BYTES):
            return
        words = self._head.split(b"\r\n", 1)[0].split(b" ", 2)
        if len(words) > 1 and words[1][:1] == b"2":
            self.opened.set_result(None)
        else:
            said = b" ".join(words[1:]).decode("latin-1")[:200]
            self.opened.set_exception(OSError(f"the proxy refused: {said}"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(OSError("the proxy closed the connection"))
