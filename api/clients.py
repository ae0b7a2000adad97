"""Owns where a request comes from, as far as limits have to know it."""

import functools
import ipaddress
from contextvars import ContextVar

from starlette.requests import Request

_PREFIX_V6 = 64  # what one customer of a provider gets at the least

_address: ContextVar[str | None] = ContextVar("client_address", default=None)


def note(request: Request) -> None:
    """Has `address` know the client of this request, in this task and those that it starts."""
    _address.set(None if request.client is None else who(request.client.host))


def address() -> str | None:
    """The client's address; of IPv6 the network, in which one client has addresses without end.

    None where it is not known, as on a Unix socket.
    """
    return _address.get()


@functools.lru_cache(maxsize=1024)
def who(host: str) -> str | None:
    """What stands for one client; None for what is no IP address."""
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _PREFIX_V6), strict=False))
