"""From a registered version back to data, recipe and code; every record arrives once, whatever is repeated."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from pipelines.common import codeversion, lineage
from pipelines.common.sender import Sender
from pipelines.common.spool import RunState, Spool, pending_records
from pipelines.common.writer import prepare
from tests.pipelines.stores import new_store
from vidmodels.core.errors import ConfigError, RunError
from vidmodels.core.recipe.run import RunSection

DIGEST = hashlib.sha256(b"data").hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = new_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    prepare(tmp_path / "lineage", store, "experiment", "first-run")
    return tmp_path / "lineage"


def drain(folder: Path) -> Sender:
    sender = Sender(folder)
    while sender.send_some():
        pass
    return sender


def client_of(folder: Path) -> Any:
    return lineage.open_client(RunState.load(folder).tracking_uri)


def history(folder: Path, key: str) -> list[tuple[int, float]]:
    found = client_of(folder).get_metric_history(RunState.load(folder).run_id, key)
    return sorted((metric.step, metric.value) for metric in found)


def spool_model(spool: Spool, folder: Path, content: bytes = b"weights", alias: str | None = "best", step: int = 10) -> None:
    path = folder.parent / "model.safetensors"
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    (folder.parent / "model.json").write_text('{"classes": ["a", "b"]}')
    files = {"model.safetensors": path, "model.json": folder.parent / "model.json"}
    spool.model(files, "tiny", lineage.version_tags("recipe123456", DIGEST), alias, step, {"top1": 0.75})


def test_a_version_leads_back_to_data_recipe_and_code(folder: Path) -> None:
    manifest = folder.parent / "manifest.parquet"
    manifest.write_bytes(b"rows")
    with Spool(folder) as spool:
        lineage.start_run(spool, "pretrain_mae", RunSection(name="first-run"), "recipe123456", DIGEST)
        spool.dataset("synthetic", DIGEST, manifest, profile={"videos": 12})
        spool.metrics({"loss": 0.5}, 10)
        spool_model(spool, folder)
        spool.status("FINISHED")
    assert pending_records(folder) == 6
    drain(folder)
    assert pending_records(folder) == 0
    assert RunState.load(folder).rejected == []
    client = client_of(folder)
    version = client.get_model_version_by_alias("tiny", "best")
    found = lineage.lineage_of(client, "tiny", version.version)
    assert found.checkpoint_sha256 == hashlib.sha256(b"weights").hexdigest()
    assert (found.recipe_hash, found.dataset_digest, found.step) == ("recipe123456", DIGEST, "10")
    assert found.code_version == codeversion.code_version()
    assert found.aliases == ("best",)
    assert found.run_id == RunState.load(folder).run_id
    assert (found.run_name, found.run_status, found.experiment) == ("first-run", "FINISHED", "experiment")
    assert found.datasets == ({"name": "synthetic", "digest": DIGEST[:36], "context": "train", "source": manifest.as_uri()},)
    assert found.params["num_workers"] == "1"
    run = client.get_run(found.run_id)
    assert [output.model_id for output in run.outputs.model_outputs] == [found.model_id]
    assert run.data.tags["program"] == "pretrain_mae"
    assert run.data.tags["last_step"] == "10"
    assert run.data.metrics == {"loss": 0.5, "model/top1": 0.75}
    assert [file.path for file in client.list_artifacts(found.run_id, "datasets/train")] == ["datasets/train/manifest.parquet"]
    assert list((folder / "held").iterdir()) == []  # what was held for sending is gone


def test_a_resumed_run_repeats_steps_and_each_counts_once(folder: Path) -> None:
    with Spool(folder) as spool:
        for step in range(20):
            spool.metrics({"loss": float(step), "lr": 0.1}, step)
        spool.status("FAILED")
    run_id = drain(folder).state.run_id
    with Spool(folder) as spool:  # back to the checkpoint of step 10
        for step in range(10, 30):
            spool.metrics({"loss": float(step), "lr": 0.1, "late": 1.0}, step)
        spool.status("FINISHED")
    assert drain(folder).state.run_id == run_id
    assert history(folder, "loss") == [(step, float(step)) for step in range(30)]
    assert history(folder, "late") == [(step, 1.0) for step in range(10, 30)]
    assert client_of(folder).get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize("fatal_save", range(1, 8))
def test_a_crash_between_sending_and_noting_doubles_nothing(
    folder: Path, fatal_save: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = folder.parent / "manifest.parquet"
    manifest.write_bytes(b"rows")
    with Spool(folder) as spool:
        spool.metrics({"loss": 1.0}, 1)
        spool.dataset("synthetic", DIGEST, manifest)
        spool_model(spool, folder)
        spool.metrics({"loss": 2.0}, 2)
        spool.status("FINISHED")
    saves = 0
    save = RunState.save

    def crash(state: RunState, target: Path) -> None:
        nonlocal saves
        saves += 1
        if saves == fatal_save:
            raise KeyboardInterrupt
        save(state, target)

    with monkeypatch.context() as patch:
        patch.setattr(RunState, "save", crash)
        with pytest.raises(KeyboardInterrupt):
            drain(folder)
    drain(folder)
    assert pending_records(folder) == 0
    client = client_of(folder)
    assert history(folder, "loss") == [(1, 1.0), (2, 2.0)]
    versions = client.search_model_versions("name = 'tiny'")
    assert len(versions) == 1
    experiment = client.get_experiment_by_name("experiment").experiment_id
    runs = client.search_runs([experiment])
    assert len(runs) == 1
    assert len(runs[0].inputs.dataset_inputs) == 1
    assert lineage.model_id_of(versions[0]) in [output.model_id for output in runs[0].outputs.model_outputs]
    assert len(runs[0].outputs.model_outputs) == 1


def test_the_same_weights_are_one_version_and_the_alias_moves(folder: Path) -> None:
    with Spool(folder) as spool:
        spool_model(spool, folder, b"one")
        spool_model(spool, folder, b"one", alias="again")
        spool_model(spool, folder, b"two", step=20)
        spool_model(spool, folder, b"three", alias=lineage.LATEST, step=30)
    drain(folder)
    assert RunState.load(folder).rejected == []
    client = client_of(folder)
    assert len(client.search_model_versions("name = 'tiny'")) == 3
    aliases = client.get_registered_model("tiny").aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {"again": "1", "best": "2"}


def test_a_parameter_that_a_resumed_run_changes_becomes_a_tag(folder: Path) -> None:
    with Spool(folder) as spool:
        spool.params({f"key{number}": number for number in range(150)})
        spool.params({"key1": 1, "key2": "other", "new": "x" * 7000})
    drain(folder)
    run = client_of(folder).get_run(RunState.load(folder).run_id)
    assert len(run.data.params) == 151
    assert run.data.params["key2"] == "2"
    assert run.data.tags["resumed.key2"] == "other"
    assert "resumed.key1" not in run.data.tags
    assert len(run.data.params["new"]) == lineage.MAX_PARAM_CHARS


def test_a_record_that_mlflow_refuses_is_named_and_stops_no_other(folder: Path) -> None:
    with Spool(folder) as spool:
        spool.metrics({"loss": 1.0}, 1)
        spool.metrics({"not a key?!": 1.0}, 2)
        spool.metrics({"loss": 3.0}, 3)
        spool.artifact(folder / "gone.png")
        spool.metrics({"loss": 4.0}, 4)
    drain(folder)
    assert history(folder, "loss") == [(1, 1.0), (3, 3.0), (4, 4.0)]
    rejected = RunState.load(folder).rejected
    assert len(rejected) == 2
    assert "not a key?!" in rejected[0]
    assert "gone.png is gone" in rejected[1]


def test_records_of_a_run_that_was_deleted_wait_until_it_is_restored(folder: Path) -> None:
    from mlflow.exceptions import MlflowException

    with Spool(folder) as spool:
        spool.metrics({"loss": 1.0}, 1)
        run_id = drain(folder).state.run_id
        client_of(folder).delete_run(run_id)
        spool.metrics({"loss": 2.0}, 2)
    with pytest.raises(MlflowException):
        drain(folder)
    assert pending_records(folder) == 1
    assert RunState.load(folder).rejected == []
    client_of(folder).restore_run(run_id)
    drain(folder)
    assert history(folder, "loss") == [(1, 1.0), (2, 2.0)]


def test_a_run_stays_in_its_store(folder: Path) -> None:
    with Spool(folder) as spool:
        spool.metrics({"loss": 1.0}, 1)
    drain(folder)
    with pytest.raises(RunError, match=r"not in http://elsewhere:5000"):
        prepare(folder, "http://elsewhere:5000", "experiment", "first-run")


@pytest.mark.parametrize("alias", ["v12", "Latest", "a b", "", "ä/ö"])
def test_an_alias_that_mlflow_would_refuse_is_refused_before_the_run(alias: str) -> None:
    with pytest.raises(ConfigError, match="is not possible"):
        lineage.checked_alias(alias)
    assert lineage.checked_alias("champion-2") == "champion-2"
    assert lineage.checked_alias("latest") == "latest"


def test_the_code_version_changes_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vidmodels").mkdir()
    (tmp_path / "vidmodels" / "a.py").write_text("one = 1\n")
    first = codeversion.source_hash(tmp_path)
    (tmp_path / "vidmodels" / "notes.txt").write_text("not code")
    assert codeversion.source_hash(tmp_path) == first
    (tmp_path / "vidmodels" / "a.py").write_text("one = 2\n")
    assert codeversion.source_hash(tmp_path) != first
    monkeypatch.setenv("VIDMODELS_CODE_VERSION", "image:7")
    codeversion.code_version.cache_clear()
    assert codeversion.code_version() == "image:7"
    codeversion.code_version.cache_clear()
