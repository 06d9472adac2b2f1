"""Fixtures of the programs' tests."""

from __future__ import annotations

import shutil

import pytest

from tests.pipelines.programs import Programs


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The cache of the synthetic world that `programs` share: it is rendered once."""
    return tmp_path_factory.mktemp("world")


@pytest.fixture
def programs(tmp_path, world, monkeypatch, capsys):
    """The programs with a storage of their own."""
    home = tmp_path / "home"
    home.mkdir()
    if any(world.iterdir()):
        shutil.copytree(world, home / "synthetic")
    monkeypatch.setenv("VIDMODELS_HOME", str(home))
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    yield Programs(home, capsys)
    if (home / "synthetic").exists() and not any(world.iterdir()):
        shutil.copytree(home / "synthetic", world, dirs_exist_ok=True)
