"""Tokens: what is kept of them, who is let in, and files that are none."""

from __future__ import annotations

import json
import stat

import pytest

from services.commands import token
from services.tokens import TokenFile, hash_of
from vidmodels.core.errors import ConfigError


@pytest.fixture
def tokens(tmp_path):
    return TokenFile(tmp_path / "keys" / "tokens.json")


def test_a_token_opens_and_its_file_does_not_hold_it(tokens):
    text, made = tokens.create("ann")
    assert tokens.check(text) == made
    assert text.split("_", 2)[2] not in tokens.path.read_text()
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600


def test_nothing_else_opens(tokens):
    text, made = tokens.create("ann")
    prefix, key, secret = text.split("_", 2)
    for wrong in (
        "",
        "_",
        "__",
        text[:-1],
        text + "x",
        f"{prefix}_{key}_",
        f"{prefix}_0_{secret}",
        f"xx_{key}_{secret}",
        secret,
    ):
        assert tokens.check(wrong) is None
    assert tokens.check(f"{prefix}_{key}_{made.sha256}") is None, "the hash is no secret"
    assert tokens.check(f"{prefix}_nobody_") is None, "the hash of nothing opens nothing"


def test_an_expired_or_revoked_token_does_not_open(tokens):
    short, _ = tokens.create("ann", days=1e-9)
    long, made = tokens.create("bob", days=1)
    assert tokens.check(short) is None
    assert tokens.check(long) == made
    tokens.drop_expired()
    assert [each.name for each in tokens.all()] == ["bob"]
    tokens.revoke("bob")
    assert tokens.check(long) is None
    with pytest.raises(ConfigError, match="no token 'bob'"):
        tokens.revoke("bob")


def test_another_process_sees_a_new_token_at_once(tokens):
    other = TokenFile(tokens.path)
    assert other.check("vm_a_b") is None
    text, made = tokens.create("ann")
    assert other.check(text) == made
    tokens.revoke(made.id)
    assert other.check(text) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"tokens": [{"id": 1}]}', "\0"])
def test_a_damaged_file_is_said(tokens, content):
    tokens.path.parent.mkdir()
    tokens.path.write_text(content)
    with pytest.raises(ConfigError, match="holds no tokens"):
        tokens.all()


def test_the_command_makes_lists_and_revokes(tmp_path, capsys):
    file = str(tmp_path / "tokens.json")
    assert token(["--file", file, "create", "ann", "--days", "2", "--per-minute", "30"]) == 0
    text = capsys.readouterr().out.splitlines()[0]
    made = TokenFile(file).check(text)
    assert made is not None
    assert (made.name, made.per_minute) == ("ann", 30)
    token(["--file", file, "list"])
    assert "ann" in capsys.readouterr().out
    token(["--file", file, "revoke", made.id])
    assert json.loads((tmp_path / "tokens.json").read_text()) == {"tokens": []}
    with pytest.raises(ConfigError, match="--days"):
        token(["--file", file, "create", "ann", "--days", "0"])
    with pytest.raises(ConfigError, match="1 to 100"):
        token(["--file", file, "create", ""])


def test_a_hash_is_that_of_the_secret_alone():
    assert hash_of("x") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
