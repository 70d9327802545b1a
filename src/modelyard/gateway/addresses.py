"""Addresses that users name: never one within our own walls.

A name is resolved once, every address behind it is looked at, and one of those very addresses is connected to: a name
that means something else a moment later (DNS rebinding) gains nothing. Special ranges: RFC 6890, and its registries.
"""

import asyncio
import ipaddress
import socket

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_WITHIN = tuple(
    map(
        ipaddress.ip_network,
        (
            "::/96",  # IPv4-compatible: the older kind once more (RFC 4291, 2.5.5.1)
            "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
            "64:ff9b:1::/48",  # a network's own NAT64 (RFC 8215)
            "fec0::/10",  # site-local (RFC 3879)
            "5f00::/16",  # segment routing within a network (RFC 9602)
            "168.63.129.16/32",  # Azure's own services, as every machine there sees them
        ),
    )
)
"""What `ipaddress` takes for public, or takes for it in some versions, and what does not lead into the internet."""


class PrivateAddress(OSError):
    """The name means an address in a private or otherwise special network."""


async def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of ``host``, all of them public. Raises `PrivateAddress` where any is not, and OSError where the
    name means nothing."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host} is no name") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        if not is_public(address):
            raise PrivateAddress(f"{host} is in a private network")
    if not addresses:
        raise OSError(f"{host} has no address")
    return addresses


def is_public(address: str) -> bool:
    """Whether ``address`` is one of the internet's, also where it wraps one of the older kind."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.sixtofour is not None or ip.teredo is not None:
            return False
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _WITHIN)
