"""How a connection to an address is made: to a worker, to a vendor, or to an address that a user named."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from modelyard.gateway.addresses import public_addresses
from modelyard.gateway.proxies import proxy_for, through
from modelyard.gateway.tls import client_context

P = TypeVar("P", bound=asyncio.Protocol)


class Opener:
    """Over TCP, with TLS to https addresses. The authorities are read when they are first needed."""

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file

    async def direct(self, address: str, made: Callable[[], P]) -> P:
        """To a worker: no way around."""
        url = urlsplit(address)
        _, protocol = await asyncio.get_running_loop().create_connection(
            made, url.hostname or "", port_of(url), ssl=self.tls(url)
        )
        return protocol

    async def outward(self, address: str, made: Callable[[], P]) -> P:
        """To a vendor: through the environment's proxy, where it sets one."""
        url = urlsplit(address)
        host, port, tls = url.hostname or "", port_of(url), self.tls(url)
        proxy = proxy_for(url.scheme, host, port)
        if proxy is not None and tls is not None:
            return await through(proxy, host, port, tls, made)
        return await self.direct(address, made)

    async def guarded(self, address: str, made: Callable[[], P]) -> P:
        """To an address that a user named: to a public one only, and never through a proxy, which might resolve the
        name to another. Raises `modelyard.gateway.addresses.PrivateAddress`."""
        url = urlsplit(address)
        host, tls = url.hostname or "", self.tls(url)
        failure: OSError | None = None
        for each in await public_addresses(host, port_of(url)):
            try:
                _, protocol = await asyncio.get_running_loop().create_connection(
                    made, each, port_of(url), ssl=tls, server_hostname=host if tls is not None else None
                )
            except OSError as error:
                failure = error
            else:
                return protocol
        raise failure or OSError(f"{host} has no address")

    def tls(self, url: SplitResult) -> ssl.SSLContext | None:
        return client_context(self._ca_file) if url.scheme == "https" else None


def port_of(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
