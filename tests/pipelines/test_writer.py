"""The writer process: an MLflow that is away stops nothing, and a killed writer loses and doubles nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from pipelines.common import lineage
from pipelines.common.spool import RunState, Spool, pending_records
from pipelines.common.writer import SpoolWriter, sync
from tests.pipelines.stores import ROOT, free_port, new_store, tracking_server, wait_for
from vidmodels.core.errors import ConfigError, WeightsError


def history(client: Any, folder: Path, key: str) -> list[tuple[int, float]]:
    found = client.get_metric_history(RunState.load(folder).run_id, key)
    return sorted((metric.step, metric.value) for metric in found)


def test_a_server_that_is_away_gets_everything_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.common.resolvers import registered_model

    folder, port = tmp_path / "lineage", free_port()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with SpoolWriter(folder, f"http://127.0.0.1:{port}", "experiment", "away") as writer, Spool(folder) as spool:
        for step in range(500):
            spool.metrics({"loss": float(step)}, step)
        spool.model({"model.safetensors": tmp_path / "model.safetensors"}, "tiny", {"recipe_hash": "r"}, "best", 500)
        spool.status("FINISHED")
        assert writer.close(timeout_s=3) == 502
    assert RunState.load(folder).run_id is None
    with tracking_server(tmp_path, port) as address:
        assert sync(folder, timeout_s=120) == 0
        client = lineage.open_client(address)
        assert history(client, folder, "loss") == [(step, float(step)) for step in range(500)]
        assert client.get_run(RunState.load(folder).run_id).info.status == "FINISHED"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        path = registered_model("models:/tiny@best", address)
        assert path.is_relative_to(tmp_path / "cache")
        assert path.read_bytes() == b"weights"
        path.write_bytes(b"spoiled")
        with pytest.raises(WeightsError, match="SHA-256 differs"):
            registered_model("models:/tiny@best", address)


def test_calls_return_while_the_server_holds_the_request(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []
    asked = threading.Event()

    def hold() -> None:
        while True:
            try:
                held.append(listener.accept()[0])  # and never an answer
            except OSError:
                return
            asked.set()

    threading.Thread(target=hold, daemon=True).start()
    folder = tmp_path / "lineage"
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with SpoolWriter(folder, address, "experiment", "blocked") as writer, Spool(folder) as spool:
        spool.metrics({"loss": 0.0}, 0)
        assert asked.wait(60)  # from here on the writer is inside a request that does not come back
        for step in range(1, 2000):
            spool.metrics({"loss": float(step)}, step)
        assert pending_records(folder) == 2000
        assert writer.close(timeout_s=0.5) == 2000
    listener.close()
    for connection in held:
        connection.close()


def test_a_killed_writer_is_continued_without_gap_or_double(tmp_path: Path) -> None:
    folder, store = tmp_path / "lineage", new_store(tmp_path)
    with Spool(folder) as spool:
        with SpoolWriter(folder, store, "experiment", "killed") as writer:
            for step in range(3000):
                spool.metrics({"loss": float(step), "lr": 0.1}, step)
            wait_for(lambda: RunState.load(folder).offset > 0, 60)
            assert writer.pid is not None
            os.kill(writer.pid, signal.SIGKILL)
            run_id = RunState.load(folder).run_id
            for step in range(2500, 3500):  # the run itself went back to a checkpoint
                spool.metrics({"loss": float(step), "lr": 0.1}, step)
            assert writer.close(timeout_s=60) == 0  # it starts a new writer for what the killed one left
        with SpoolWriter(folder, store, "experiment", "killed") as writer:
            spool.metrics({"loss": 3500.0, "lr": 0.1}, 3500)
            spool.status("FINISHED")
            assert writer.close(timeout_s=60) == 0
    assert RunState.load(folder).run_id == run_id
    client = lineage.open_client(store)
    assert history(client, folder, "loss") == [(step, float(step)) for step in range(3501)]
    assert history(client, folder, "lr") == [(step, 0.1) for step in range(3501)]
    assert client.get_run(run_id).info.status == "FINISHED"


def test_the_writer_finishes_for_a_driver_that_was_interrupted(tmp_path: Path) -> None:
    folder, store = tmp_path / "lineage", new_store(tmp_path)
    driver = textwrap.dedent(
        f"""
        import os, pathlib, signal, time
        from pipelines.common.spool import Spool
        from pipelines.common.writer import SpoolWriter
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
        folder = pathlib.Path({str(folder)!r})
        writer = SpoolWriter(folder, {store!r}, "experiment", "interrupted").__enter__()
        spool = Spool(folder)
        for step in range(200):
            spool.metrics({{"loss": float(step)}}, step)
        print("spooled", flush=True)
        time.sleep(600)
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", driver],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"spooled\n"
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does: the whole group
    process.wait(60)
    client = lineage.open_client(store)

    def killed() -> bool:
        run_id = RunState.load(folder).run_id
        return run_id is not None and client.get_run(run_id).info.status == "KILLED"

    wait_for(killed, 60)
    assert pending_records(folder) == 0
    assert history(client, folder, "loss") == [(step, float(step)) for step in range(200)]


def test_the_file_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no longer writes its file store"):
        SpoolWriter(tmp_path / "lineage", str(tmp_path / "mlruns"), "experiment", "run")
