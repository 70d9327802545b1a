"""Which addresses are the internet's."""

import socket

import pytest

from modelyard.gateway.addresses import PrivateAddress, is_public, public_addresses


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "::7f00:1",
        "::ffff:0:7f00:1",
        "64:ff9b:1::7f00:1",
        "fec0::1",
        "168.63.129.16",
    ],
)
def test_private(address: str) -> None:
    assert not is_public(address)


async def test_a_name_within_the_walls() -> None:
    with pytest.raises(PrivateAddress):
        await public_addresses("localhost", 80)


@pytest.mark.parametrize("host", ["a" * 300, "...."])
async def test_what_is_no_name_at_all(host: str) -> None:
    with pytest.raises(OSError, match="no name"):
        await public_addresses(host, 80)


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "0177.0.0.1"])
async def test_loopback_in_disguise(host: str) -> None:
    """However an address is written, what the resolver makes of it is what is judged."""
    with pytest.raises((PrivateAddress, socket.gaierror)):
        await public_addresses(host, 80)
