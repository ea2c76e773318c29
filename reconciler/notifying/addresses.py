"""Which addresses may be spoken to: no document makes the service reach into its own network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = ip_network("64:ff9b::/96")


class NotAllowed(Exception):
    """A host has no address that may be spoken to."""


async def resolve(host: str, port: int, networks: Sequence[Network]) -> Address:
    """Return the address of a host that is to be connected to: a public one, or one in `networks`.

    Raise NotAllowed where it has only others, and OSError where it has none. Connect to exactly this address: the next
    answer for the same name may be another.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, place in found:
        # An address with a zone, as fe80::1%eth0, is never public.
        address = ip_address(str(place[0]).partition("%")[0])
        if is_allowed(address, networks):
            return address
    raise NotAllowed


def is_allowed(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address is public, or lies in one of the networks. What leads to another address counts as that."""
    inner = _inner(address)
    if inner is not None:
        return is_allowed(inner, networks)
    if any(address.version == network.version and address in network for network in networks):
        return True
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inner(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address only wraps."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo is not None else None)
