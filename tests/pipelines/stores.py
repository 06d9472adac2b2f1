"""MLflow stores for tests: an SQLite file copied from one template, and a tracking server in a child process."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SERVER = """
import os, sys
store, artifacts, port = sys.argv[1:]
os.environ.update({"_MLFLOW_SERVER_FILE_STORE": store, "_MLFLOW_SERVER_REGISTRY_STORE": store,
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true", "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts, "MLFLOW_TRACKING_URI": store})
from mlflow.server import app
from werkzeug.serving import make_server
make_server("127.0.0.1", int(port), app, threaded=True).serve_forever()
"""


@functools.cache
def _template() -> Path:
    """Creating the schema takes seconds: once per session."""
    from pipelines.common.lineage import open_client

    folder = Path(tempfile.mkdtemp(prefix="vidmodels-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_client(f"sqlite:///{folder}/mlflow.db")
    return folder / "mlflow.db"


def new_store(folder: Path) -> str:
    """The address of an empty store in the folder."""
    shutil.copyfile(_template(), folder / "mlflow.db")
    return f"sqlite:///{folder}/mlflow.db"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def tracking_server(folder: Path, port: int) -> Iterator[str]:
    """A tracking server at this port that proxies artifacts."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SERVER, new_store(folder), str(folder / "served"), str(port)]
    with open(folder / "server.log", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _answers(address), 60)
        yield address
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool], limit_s: float) -> None:
    """Wait until it holds; the limit only ends a test that has failed."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/health", timeout=5).close()
    except OSError:
        return False
    return True
