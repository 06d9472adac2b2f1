"""The environment of a Ray that serves."""

from __future__ import annotations

import os

from services.replicas import ENVIRONMENT, prepare_environment


def test_what_the_user_has_set_stays(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, "")  # so that the test puts back what was there
        monkeypatch.delenv(name)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    prepare_environment()
    assert {name: os.environ[name] for name in ENVIRONMENT} == {**ENVIRONMENT, "MALLOC_ARENA_MAX": "7"}
