"""Videos behind https addresses of allowed hosts: resolved once, checked, and fetched from the checked address only."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
from httpx import AsyncClient

from services.gateway.spool import Spool, SpoolFile
from services.gateway.upload import safe_name
from services.problems import Problem
from services.settings import ServiceSettings

MAX_HOPS = 3
CONNECT_S = 5.0
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@contextlib.asynccontextmanager
async def fetched(address: str, settings: ServiceSettings, spool: Spool) -> AsyncIterator[tuple[Path, str]]:
    """The content behind an address, in the spool under the cap of uploads. Raises Problem.

    Every hop of a redirect is checked as the first address is, and the connection goes to the IP that was checked: a name
    that answers differently a second time gains nothing.
    """
    with spool.file() as target:
        first = parsed(address)
        url = first
        for _ in range(MAX_HOPS + 1):
            following = await _hop(url, settings, target)
            if following is None:
                yield target.path, safe_name(first.path)
                return
            url = following
        raise _refused(f"more than {MAX_HOPS} redirects")


async def _hop(url: httpx.URL, settings: ServiceSettings, target: SpoolFile) -> httpx.URL | None:
    """Fetch one address; the next one where it is a redirect."""
    ip = await checked_address(url, settings.url_hosts)
    pinned = url.copy_with(host=ip)
    timeout = httpx.Timeout(settings.limits.idle_s, connect=CONNECT_S)
    # `sni_hostname` keeps the certificate's check on the name while the connection goes to the address
    extensions = {"sni_hostname": url.host}
    try:
        async with (
            AsyncClient(timeout=timeout, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", pinned, headers={"host": url.netloc.decode()}, extensions=extensions) as response,
        ):
            if response.is_redirect:
                return parsed(str(url.join(response.headers.get("location", ""))))
            if response.status_code != 200:
                raise _refused(f"it answers with status {response.status_code}")
            most = int(settings.limits.body_mb * 1e6)
            async for part in response.aiter_bytes():
                if target.size + len(part) > most:
                    raise Problem("too_large", f"the video is larger than {settings.limits.body_mb:g} MB, the limit")
                target.write(part)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _refused(f"it cannot be fetched ({type(error).__name__})") from None
    return None


def parsed(address: str) -> httpx.URL:
    """The parts of an address. Raises Problem for one that has none."""
    try:
        return httpx.URL(address)
    except httpx.InvalidURL:
        raise _refused("it cannot be understood") from None


async def checked_address(url: httpx.URL, hosts: tuple[str, ...]) -> str:
    """The IP to connect to. Raises Problem for another scheme, port or host than allowed, and for addresses inside."""
    if url.scheme != "https" or url.port not in (None, 443) or url.userinfo:
        raise _refused("only https without port and user is fetched")
    if url.host.lower() not in {host.lower() for host in hosts}:
        raise _refused("its host is not one that the service fetches from")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise _refused("its host is not known") from None
    addresses = sorted({str(entry[4][0]) for entry in found})
    if not addresses or not all(is_public(address) for address in addresses):
        raise _refused("its host is not a public one")
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP is one of the open internet: not loopback, private, link-local, reserved, nor one that wraps such."""
    ip = ipaddress.ip_address(address.split("%")[0])
    inner = None
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.is_global and not ip.is_multicast and (inner is None or is_public(str(inner)))


def _refused(reason: str) -> Problem:
    return Problem("invalid", f"uri: the address is not fetched: {reason}", field="uri")
