"""Addresses that a request names: only https of allowed hosts, only to public IPs, checked anew at every hop."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from services.gateway import fetch
from services.gateway.fetch import checked_address, is_public, parsed
from services.problems import Problem


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "2002:7f00:1::", "2001:db8::1", "64:ff9b::7f00:1",
    ],
)  # fmt: skip
def test_addresses_inside_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_outside_are(address):
    assert is_public(address)


def resolve(monkeypatch, *answers):
    """Names resolve to these addresses, one list a question."""
    rest = list(answers)

    async def getaddrinfo(self, host, port, **_):
        found = rest.pop(0) if len(rest) > 1 else rest[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)


def check(url, hosts=("videos.example",)):
    return asyncio.run(checked_address(parsed(url), hosts))


def test_an_allowed_host_gives_the_checked_address(monkeypatch):
    resolve(monkeypatch, ["8.8.8.8"])
    assert check("https://videos.example/a.mp4") == "8.8.8.8"
    assert check("https://VIDEOS.example/a.mp4") == "8.8.8.8"


@pytest.mark.parametrize(
    "url",
    [
        "http://videos.example/a.mp4", "https://videos.example:8443/a.mp4", "https://me@videos.example/a.mp4",
        "https://videos.example@evil.example/a.mp4", "https://evil.example/a.mp4", "https://videos.example.evil.example/a",
        "https://127.0.0.1/a", "https://2130706433/a", "https://0177.0.0.1/a", "https://0x7f000001/a", "https://[::1]/a",
        "ftp://videos.example/a",
    ],
)  # fmt: skip
def test_other_addresses_are_refused(monkeypatch, url):
    resolve(monkeypatch, ["8.8.8.8"])
    with pytest.raises(Problem) as problem:
        check(url)
    assert (problem.value.code, problem.value.field) == ("invalid", "uri")


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["169.254.169.254"], []])
def test_a_host_that_resolves_to_the_inside_is_refused(monkeypatch, answer):
    resolve(monkeypatch, answer)
    with pytest.raises(Problem, match="not a public one"):
        check("https://videos.example/a.mp4")


class Answers(httpx.AsyncBaseTransport):
    """Stands for the network: notes where connections go, and answers in turn."""

    def __init__(self, *responses):
        self.responses, self.asked = list(responses), []

    async def handle_async_request(self, request):
        self.asked.append((request.url.host, request.headers["host"], request.extensions["sni_hostname"]))
        return self.responses.pop(0)


def fetched(monkeypatch, tmp_path, transport, url="https://videos.example/a.mp4", **limits):
    from services.gateway.spool import Spool
    from services.settings import ServiceSettings

    monkeypatch.setattr(fetch, "AsyncClient", lambda **kw: httpx.AsyncClient(transport=transport, **kw))
    settings = ServiceSettings.model_validate({"url_hosts": ["videos.example"], "limits": limits})
    spool = Spool(str(tmp_path / "spool"))

    async def work():
        async with fetch.fetched(url, settings, spool) as (path, name):
            return path.read_bytes(), name

    return asyncio.run(work())


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch, tmp_path):
    resolve(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])  # a second question would be answered otherwise
    network = Answers(httpx.Response(200, content=b"video"))
    assert fetched(monkeypatch, tmp_path, network) == (b"video", "a.mp4")
    assert network.asked == [("8.8.8.8", "videos.example", "videos.example")]


def test_every_hop_of_a_redirect_is_checked(monkeypatch, tmp_path):
    resolve(monkeypatch, ["8.8.8.8"])
    network = Answers(httpx.Response(302, headers={"location": "http://169.254.169.254/keys"}))
    with pytest.raises(Problem, match="only https"):
        fetched(monkeypatch, tmp_path, network)
    assert len(network.asked) == 1
    assert not list((tmp_path / "spool").iterdir())


def test_redirects_end(monkeypatch, tmp_path):
    resolve(monkeypatch, ["8.8.8.8"])
    network = Answers(*(httpx.Response(302, headers={"location": "/again"}) for _ in range(9)))
    with pytest.raises(Problem, match="more than 3 redirects"):
        fetched(monkeypatch, tmp_path, network)
    assert len(network.asked) == 4


def test_what_is_too_large_or_not_there_is_refused(monkeypatch, tmp_path):
    resolve(monkeypatch, ["8.8.8.8"])
    with pytest.raises(Problem) as problem:
        fetched(monkeypatch, tmp_path, Answers(httpx.Response(200, content=bytes(2000))), body_mb=0.001)
    assert problem.value.code == "too_large"
    with pytest.raises(Problem, match="status 404"):
        fetched(monkeypatch, tmp_path, Answers(httpx.Response(404)))
