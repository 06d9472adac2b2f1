"""The spool keeps every record, in order, whatever happens to the process that writes it."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipelines.common import storage_paths
from pipelines.common.spool import SPOOL_FILE, STATE_FILE, RunState, Spool, pending_records, read_records
from tests.pipelines.stores import ROOT
from vidmodels.core.errors import ConfigError, RunError


def test_records_come_back_in_order_with_their_values(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"x")
    with Spool(tmp_path / "lineage") as spool:
        spool.params({"lr": 0.5, "size": [1, 2], "none": None, "text": "a"})
        spool.tags({"program": "pretrain"})
        spool.metrics({"loss": math.nan, "lr": 1e-3}, 7)
        spool.dataset("clips", "ab" * 32, tmp_path / "m.parquet", profile={"videos": 3})
        spool.artifact(tmp_path / "m.parquet", "pictures")
        spool.status("FINISHED")
    records = list(read_records(tmp_path / "lineage"))
    assert [record.kind for record in records] == ["params", "tags", "metrics", "dataset", "artifact", "status"]
    assert records[0].body["params"] == {"lr": "0.5", "size": "[1, 2]", "none": "null", "text": "a"}
    assert records[2].body["step"] == 7
    assert math.isnan(records[2].body["metrics"]["loss"])
    assert records[3].body["digest"] == "ab" * 32
    assert records[-1].end == (tmp_path / "lineage" / SPOOL_FILE).stat().st_size
    assert all(record.time > 1_600_000_000_000 for record in records)


def test_reading_starts_and_stops_at_offsets(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        for step in range(5):
            spool.metrics({"loss": 1.0}, step)
    records = list(read_records(tmp_path))
    steps = [record.body["step"] for record in read_records(tmp_path, records[1].end, records[3].end)]
    assert steps == [2, 3]
    RunState(offset=records[2].end).save(tmp_path)
    assert pending_records(tmp_path) == 2


def test_half_a_line_spoils_no_other(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:
        spool.metrics({"loss": 1.0}, 1)
    with open(tmp_path / SPOOL_FILE, "ab") as stream:
        stream.write(b'{"kind": "metr')
    assert [record.kind for record in read_records(tmp_path)] == ["metrics"]  # it may still be growing
    with Spool(tmp_path) as spool:
        spool.metrics({"loss": 2.0}, 2)
    assert [record.kind for record in read_records(tmp_path)] == ["metrics", "damaged", "metrics"]


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool:

        def write(worker: int) -> None:
            for step in range(100):
                spool.metrics({f"loss{worker}": 1.0}, step)

        threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    seen = {(key, record.body["step"]) for record in read_records(tmp_path) for key in record.body["metrics"]}
    assert len(seen) == 400


def test_a_model_outlives_the_checkpoint_it_came_from(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    with Spool(tmp_path / "lineage") as spool:
        spool.model({"model.safetensors": weights}, "tiny", {"recipe_hash": "abc"}, "best", 10, {"top1": 0.5})
    weights.unlink()
    body = next(read_records(tmp_path / "lineage")).body
    assert (tmp_path / "lineage" / "held" / body["held"] / "model.safetensors").read_bytes() == b"weights"
    assert (body["name"], body["alias"], body["step"], body["metrics"]) == ("tiny", "best", 10, {"top1": 0.5})


def test_a_missing_model_file_is_said_at_once(tmp_path: Path) -> None:
    with Spool(tmp_path) as spool, pytest.raises(RunError, match="cannot hold the files of the model 'tiny'"):
        spool.model({"model.safetensors": tmp_path / "none"}, "tiny", {}, None, 1)
    assert list(read_records(tmp_path)) == []


def test_a_full_disk_is_one_sentence_and_not_a_lost_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunError, match=r"spool\.jsonl: .*No space left on device"):
            spool.metrics({"loss": 1.0}, 1)
    spool.close()
    with pytest.raises(RunError, match="is closed"):
        spool.metrics({"loss": 1.0}, 2)


def test_the_state_is_replaced_as_a_whole(tmp_path: Path) -> None:
    state = RunState(run_id="r1", offset=10, versions={"1": {"name": "tiny", "version": "3"}})
    state.save(tmp_path)
    assert RunState.load(tmp_path) == state
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]  # nothing is left aside
    (tmp_path / STATE_FILE).write_text(json.dumps({"offset": 1, "colour": 2}))
    with pytest.raises(RunError, match=r"cannot read .*run\.json"):
        RunState.load(tmp_path)


def test_the_driver_loads_neither_mlflow_nor_torch() -> None:
    code = (
        "import sys, pipelines.common.writer, pipelines.common.commands, pipelines.common.resolvers;"
        "print(sorted({'mlflow', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_default_storage_follows_home_folder_and_submitted_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VIDMODELS_HOME", "MLFLOW_TRACKING_URI", "RAY_JOB_CONFIG_JSON_ENV_VAR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert storage_paths.default_storage() == str(tmp_path / "runs")
    assert storage_paths.default_tracking_uri() == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert storage_paths.artifact_root(storage_paths.default_tracking_uri()) == f"file://{tmp_path}/runs/mlartifacts"
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert storage_paths.default_storage() == str(tmp_path / "home" / ".vidmodels" / "runs")
    monkeypatch.setenv("VIDMODELS_HOME", "s3://bucket/runs")
    assert storage_paths.default_storage() == "s3://bucket/runs"
    assert storage_paths.default_tracking_uri() == f"sqlite:///{tmp_path}/home/.vidmodels/mlflow.db"
    assert storage_paths.artifact_root("http://mlflow:5000") is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with pytest.raises(ConfigError, match=r"'\./mlruns' is a folder"):
        storage_paths.default_tracking_uri()
