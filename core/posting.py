"""Owns how something is posted to an address that somebody typed: signed, and never into our own
network.

Signed after https://www.standardwebhooks.com, so that receivers find libraries for it.
"""

import asyncio
import base64
import functools
import hashlib
import hmac
import ipaddress
import re
import socket
import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from core.errors import Invalid, text

URL_CHARACTERS = 2_000
ERROR_CHARACTERS = 500
ERROR_BYTES = 2_000  # of a refusal, more is not read
TIMEOUT_SECONDS = 10  # for all of it; well below the lease of what is being sent
MOST_ADDRESSES = 3
GONE = 410
PORTS = range(1, 65_536)
HOST = re.compile(rb"[0-9A-Za-z._-]+|[0-9A-Fa-f:.]+")
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: `error` is None when the receiver took it; `gone` when it wants no more."""

    error: str | None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: JSON, the id that it keeps when it is sent again, and what signs it."""

    id: str
    body: str
    secret: bytes = field(repr=False)


def check_url(value: str, hosts: Collection[str]) -> str:
    """An address that may be posted to; raises `Required`, `TooLong` and `Invalid`.

    It is of https and public; the named hosts may be reached by http and may be our own.
    """
    value = text(value, "url", most=URL_CHARACTERS)
    try:
        url = httpx.URL(value)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Invalid("This is no address.", "url") from error
    if url.scheme not in ({"https", "http"} if url.host in hosts else {"https"}) or not url.host:
        raise Invalid("An address begins with `https://` and names a host.", "url")
    port = 443 if url.port is None else url.port
    if not HOST.fullmatch(url.raw_host) or port not in PORTS:
        raise Invalid("This names no host, or no port.", "url")
    if url.userinfo or url.fragment:
        raise Invalid("An address has no user, no password and no fragment.", "url")
    if url.host not in hosts and (address := _literal(url.host)) and not is_public(address):
        raise Invalid("This is an address of a private network.", "url")
    return value


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether it is somebody's on the internet, and no other spelling of one that is not."""
    inner = _inside(address) if isinstance(address, ipaddress.IPv6Address) else None
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The address of the old kind that this one stands for."""
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])


def signature(message: Message, timestamp: int) -> str:
    """What proves to a receiver that we sent this, and when, in seconds since 1970."""
    signed = f"{message.id}.{timestamp}.{message.body}".encode()
    digest = hmac.digest(message.secret, signed, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


async def post(url: str, message: Message, now: datetime, hosts: Collection[str]) -> Outcome:
    """Posts the message once; never raises for what an address or a receiver does.

    The name is resolved here and the connection made to what was looked at: a name that means
    another address a moment later leads nowhere. No redirect is followed.
    """
    timestamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": "Wellspring",
        "accept-encoding": "identity",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(message, timestamp),
    }
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _post(httpx.URL(check_url(url, hosts)), message.body, headers, hosts)
    except TimeoutError:
        return _failed(f"no answer within {TIMEOUT_SECONDS} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, Invalid) as error:
        return _failed(f"{type(error).__name__}: {error}")


async def _post(
    url: httpx.URL, body: str, headers: dict[str, str], hosts: Collection[str]
) -> Outcome:
    addresses = await _addresses(url)
    if url.host not in hosts and not all(map(is_public, addresses)):
        return _failed(f"{url.host} is in a private network")
    named = headers | {"host": url.netloc.decode()}
    for address in addresses[:-1]:
        try:
            return await _post_to(address, url, body, named)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            continue
    return await _post_to(addresses[-1], url, body, named)


async def _addresses(url: httpx.URL) -> Sequence[Address]:
    """Where the host is, each once, in the order in which it should be tried."""
    loop = asyncio.get_running_loop()
    host = url.raw_host.decode()
    found = await loop.getaddrinfo(host, url.port, type=socket.SOCK_STREAM)
    return [*dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found)][:MOST_ADDRESSES]


async def _post_to(address: Address, url: httpx.URL, body: str, headers: dict[str, str]) -> Outcome:
    # A client of its own: a kept connection would be told from others by its address alone.
    async with (
        httpx.AsyncClient(verify=_trusted(), trust_env=False, timeout=TIMEOUT_SECONDS) as http,
        http.stream(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers=headers,
            extensions={"sni_hostname": url.raw_host.decode()},
        ) as response,
    ):
        if response.is_success:
            return Outcome(None)
        said = await _beginning(response)
        return _failed(f"HTTP {response.status_code} {said}", gone=response.status_code == GONE)


async def _beginning(response: httpx.Response) -> str:
    read = b""
    async for part in response.aiter_raw():
        read += part[:ERROR_BYTES]
        if len(read) >= ERROR_BYTES:
            break
    return read.decode(errors="replace")


def _failed(error: str, *, gone: bool = False) -> Outcome:
    shown = "".join(each if each.isprintable() else " " for each in error)
    return Outcome(shown.strip()[:ERROR_CHARACTERS], gone)


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whose certificates are believed; reading them takes too long for every message."""
    return httpx.create_ssl_context()
