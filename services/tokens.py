"""Bearer tokens: made once, kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from vidmodels.core.errors import ConfigError

PREFIX = "vm"


@dataclass(frozen=True)
class Token:
    """What is kept of a token: `sha256` of its secret, which has 256 random bits, so that no slow hash is needed.

    id: its public part; name: who has it; created, expires: seconds since 1970, expires None: never; per_minute: requests;
    concurrent: requests at the same time.
    """

    id: str
    name: str
    sha256: str
    created: float
    expires: float | None = None
    per_minute: int = 600
    concurrent: int = 64

    def expired(self, now: float | None = None) -> bool:
        return self.expires is not None and (time.time() if now is None else now) >= self.expires


class TokenFile:
    """The file of tokens, read again when it has changed. Raises ConfigError for a file that holds no tokens."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._seen: tuple[int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def all(self) -> list[Token]:
        """The tokens, oldest first."""
        self._refresh()
        return sorted(self._tokens.values(), key=lambda token: token.created)

    def check(self, text: str) -> Token | None:
        """The token that somebody shows, or None for one that is unknown, wrong or expired."""
        self._refresh()
        prefix, _, rest = text.partition("_")
        name, _, secret = rest.partition("_")
        known = self._tokens.get(name)
        # a hash is compared in any case, so that the time does not tell which ids exist
        expected = known.sha256 if known is not None else hash_of("")
        right = hmac.compare_digest(hash_of(secret).encode(), expected.encode())
        return known if right and known is not None and prefix == PREFIX and not known.expired() else None

    def create(self, name: str, days: float | None = None, per_minute: int = 600, concurrent: int = 64) -> tuple[str, Token]:
        """A new token, and what its owner has to show, which is not kept anywhere."""
        if not name or len(name) > 100 or not name.isprintable():
            raise ConfigError(f"a token cannot be called {name!r}: give a name of 1 to 100 letters")
        now, secret = time.time(), secrets.token_urlsafe(32)
        expires = None if days is None else now + days * 86400
        token = Token(secrets.token_hex(4), name, hash_of(secret), now, expires, per_minute, concurrent)
        self._refresh()
        self._write({**self._tokens, token.id: token})
        return f"{PREFIX}_{token.id}_{secret}", token

    def revoke(self, which: str) -> list[Token]:
        """Remove the token of an id, or all of a name. Raises ConfigError where there is none."""
        gone = [token for token in self.all() if which in (token.id, token.name)]
        if not gone:
            there = ", ".join(f"{token.id} ({token.name})" for token in self.all()) or "none"
            raise ConfigError(f"there is no token {which!r}; tokens: {there}")
        self._write({key: token for key, token in self._tokens.items() if token not in gone})
        return gone

    def drop_expired(self) -> None:
        """Forget tokens that nobody can use any more."""
        alive = {token.id: token for token in self.all() if not token.expired()}
        if len(alive) < len(self._tokens):
            self._write(alive)

    def _refresh(self) -> None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            self._seen, self._tokens = None, {}
            return
        seen = (found.st_mtime_ns, found.st_ino)
        if seen == self._seen:
            return
        try:
            rows = json.loads(self.path.read_text())["tokens"]
            self._tokens = {row["id"]: Token(**row) for row in rows}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{self.path} holds no tokens ({error}): restore it, or remove it and create new ones") from None
        self._seen = seen

    def _write(self, tokens: dict[str, Token]) -> None:
        """Whole or not at all, readable by its owner alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        with os.fdopen(handle, "w") as stream:
            json.dump({"tokens": [asdict(token) for token in tokens.values()]}, stream, indent=2)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, self.path)
        self._refresh()


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
