"""Real parts for the tests of infra/: PostgreSQL, an S3-compatible store, programs; and services as compose.yaml has them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infra.checks.tree import Tree
from tests.pipelines.stores import free_port, wait_for
from tests.policy.files import ROOT

DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
KEYS = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_DEFAULT_REGION": "us-east-1"}


def program(name: str, package: str) -> str:
    """The path of a command; the test is skipped where it is not there."""
    found = shutil.which(name) or next((str(path) for path in sorted(DEBIAN_POSTGRES.glob(f"*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"there is no command {name}: install the Debian package {package}")
    return found


def module(name: str) -> None:
    """Skip the test where a Python package is missing."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"there is no Python package {name}: make setup")


def service(name: str) -> dict[str, Any]:
    """A service of compose.yaml."""
    return Tree(ROOT / "infra", ROOT).document("compose/compose.yaml")["services"][name]


def filled(text: Any, values: Mapping[str, str], places: Mapping[str, str]) -> str:
    """A text of compose.yaml with values for its variables, and other addresses for those of its network."""
    done = re.sub(r"\$\{(\w+)[^}]*\}", lambda match: values[match[1]], str(text))
    for old, new in places.items():
        done = done.replace(old, new)
    return done


def status(address: str, headers: Mapping[str, str] | None = None) -> int:
    """The status of an answer; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=dict(headers or {})), timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@contextlib.contextmanager
def running(
    command: list[str], address: str, log: Path, environment: Mapping[str, str] | None = None, limit_s: float = 500
) -> Iterator[None]:
    """A program, from its first answer at the address that is no 5xx to the end of the context."""
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **(environment or {})}, start_new_session=True
        )
    try:
        wait_for(lambda: 0 < status(address) < 500 or process.poll() is not None, limit_s)
        assert process.poll() is None, log.read_text()[-2000:]
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


@contextlib.contextmanager
def postgres(password: str) -> Iterator[str]:
    """HOST:PORT of a PostgreSQL with a user mlflow; it refuses to run as root, so another user runs it."""
    initdb, pg_ctl, createdb = (program(name, "postgresql") for name in ("initdb", "pg_ctl", "createdb"))
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="vidmodels-postgres-"))
    who: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    environment = {**os.environ, "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC", "PGPASSWORD": password}
    (folder / "password").write_text(password)
    if who:
        shutil.chown(folder, "nobody", "nogroup")
        shutil.chown(folder / "password", "nobody", "nogroup")

    def call(*words: str) -> None:
        done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, timeout=120, **who)
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    try:
        call(
            initdb,
            "-D",
            data,
            "-U",
            "mlflow",
            "-E",
            "UTF8",
            "--auth=scram-sha-256",
            f"--pwfile={folder / 'password'}",
            "--no-sync",
        )
        call(pg_ctl, "-D", data, "-w", "-l", str(folder / "log"), "-o", f"-p {port} -h 127.0.0.1 -k {folder} -F", "start")
        try:
            call(createdb, "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "mlflow")
            yield f"127.0.0.1:{port}"
        finally:
            call(pg_ctl, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def object_store(log: Path) -> Iterator[str]:
    """The address of an empty S3-compatible store in memory."""
    module("moto")
    address = f"http://127.0.0.1:{(port := free_port())}"
    code = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    with running([sys.executable, "-c", code], address, log):
        yield address
