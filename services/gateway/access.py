"""Who may call: bearer tokens, and how much each may ask for at once and in a minute."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from services.problems import Problem
from services.tokens import Token, TokenFile

OPEN = ("/healthz", "/readyz", "/", "/page/", "/openapi.json")
"""Paths that need no token: health, and the page with its description, which hold no data."""


@dataclass
class _Use:
    """What a token uses now. allowance: requests that it may still begin, refilled evenly."""

    allowance: float
    at: float
    ongoing: int = 0


@dataclass
class Access:
    """Checks tokens and counts their requests in this process: with several gateways each counts for itself."""

    tokens: TokenFile
    _uses: dict[str, _Use] = field(default_factory=dict)

    def token_of(self, connection: HTTPConnection) -> Token:
        """The token that a request shows. Raises Problem (unauthorized)."""
        kind, _, text = connection.headers.get("authorization", "").partition(" ")
        if not text and connection.scope["type"] == "websocket":
            # browsers cannot set a header there: the token comes as a subprotocol, never in the address, which is logged
            offered = [word.strip() for word in connection.headers.get("sec-websocket-protocol", "").split(",")]
            text = next((word.removeprefix("bearer.") for word in offered if word.startswith("bearer.")), "")
            kind = "bearer"
        if not text:
            raise Problem("unauthorized", "no token was sent: send `Authorization: Bearer TOKEN` (see `vidmodels token`)")
        token = self.tokens.check(text.strip()) if kind.lower() == "bearer" else None
        if token is None:
            raise Problem("unauthorized", "the token is unknown or has expired: create one with `vidmodels token create`")
        return token

    @contextlib.contextmanager
    def counted(self, token: Token) -> Iterator[None]:
        """Let a request begin, and know until its end that it goes on. Raises Problem (too_many_requests)."""
        use, now = self._uses.setdefault(token.id, _Use(token.per_minute, time.monotonic())), time.monotonic()
        rate = token.per_minute / 60
        use.allowance, use.at = min(use.allowance + (now - use.at) * rate, token.per_minute), now
        if use.allowance < 1:
            message = f"the token may begin {token.per_minute} requests a minute: wait"
            raise Problem("too_many_requests", message, retry_after=(1 - use.allowance) / rate)
        if use.ongoing >= token.concurrent:
            message = f"the token may have {token.concurrent} requests at the same time: wait for one to end"
            raise Problem("too_many_requests", message, retry_after=1)
        use.allowance -= 1
        use.ongoing += 1
        try:
            yield
        finally:
            use.ongoing -= 1


class Admission:
    """Lets at most so many requests about media in: what is too much is refused before its body is read."""

    def __init__(self, most: int) -> None:
        self._most, self._inside = most, 0

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places. Raises Problem (overloaded)."""
        if self._inside >= self._most:
            raise Problem("overloaded", "the service has as many videos as it can hold: try again later", retry_after=1)
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


def is_open(path: str) -> bool:
    return any(path == known or (known.endswith("/") and len(known) > 1 and path.startswith(known)) for known in OPEN)
