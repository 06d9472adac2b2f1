"""`vidmodels runs` and `vidmodels register` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.common import commands, lineage
from pipelines.common.resolvers import resolve
from pipelines.common.sender import Sender
from pipelines.common.spool import RunState, Spool
from pipelines.common.writer import prepare
from tests.pipelines.stores import free_port, new_store
from vidmodels import zoo
from vidmodels.core.errors import ConfigError, RunError, WeightsError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage folder with a finished run, one that failed, and one whose records are pending."""
    store = new_store(tmp_path)
    monkeypatch.setenv("VIDMODELS_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "manifest.parquet").write_bytes(b"rows")
    for name, status in (("pretrain-1", "FAILED"), ("finetune-2", "FINISHED")):
        folder = tmp_path / name / "lineage"
        prepare(folder, store, "vidmodels", name)
        with Spool(folder) as spool:
            spool.params({"optim.lr": 0.25})
            spool.metrics({"loss": 1.25}, 100)
            if status == "FINISHED":
                spool.dataset("clips", "d" * 64, tmp_path / "manifest.parquet")
                files = {"model.safetensors": tmp_path / "model.safetensors"}
                spool.model(files, "tiny", lineage.version_tags("recipe123456", "d" * 64), "best", 100)
            spool.status(status)  # type: ignore[arg-type]
        sender = Sender(folder)
        while sender.send_some():
            pass
    prepare(tmp_path / "late" / "lineage", f"http://127.0.0.1:{free_port()}", "vidmodels", "late")
    with Spool(tmp_path / "late" / "lineage") as spool:
        spool.metrics({"loss": 1.0}, 1)
        spool.metrics({"loss": 0.5}, 2)
    return tmp_path


def test_list_shows_status_steps_loss_and_versions(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.runs([]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert "FAILED" in rows["pretrain-1"]
    finished = rows["finetune-2"].split()
    assert finished[1] == "FINISHED"
    assert finished[-3:] == ["100", "1.25", "tiny/1@best"]
    assert lines[-1].startswith("2 records of ")
    assert f"vidmodels runs sync {home / 'late' / 'lineage'}" in lines[-1]


def test_list_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.runs(["list", "--json", "--limit", "1"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["step"], row["loss"]) for row in rows] == [("finetune-2", "100", 1.25)]


@pytest.mark.parametrize("words", [["show", "finetune-2"], ["show", "models:/tiny@best"], ["lineage", "models:/tiny/1"]])
def test_show_leads_back_to_data_recipe_and_code(home: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.runs(words) == 0
    text = capsys.readouterr().out
    for fact in (
        "tiny version 1 @best",
        "recipe123456",
        "d" * 64,
        lineage.code_version(),
        "optim.lr = 0.25",
        "step 100",
    ):
        assert fact in text


def test_show_of_a_run_without_a_model(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.runs(["show", "pretrain-1"]) == 0
    assert "FAILED" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"no run 'pretrain-9' .*did you mean 'pretrain-1'"):
        commands.runs(["show", "pretrain-9"])


def test_sync_sends_what_was_pending(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / "late" / "lineage"
    monkeypatch.setattr("pipelines.common.commands.sync", lambda *_: 2)
    with pytest.raises(RunError, match="2 of 2 records are still pending: http://127"):
        commands.runs(["sync", str(home / "late")])
    monkeypatch.undo()
    state = RunState.load(folder)
    state.tracking_uri = f"sqlite:///{home}/mlflow.db"
    state.save(folder)
    assert commands.runs(["sync", str(home / "late")]) == 0
    assert "sent 2 records" in capsys.readouterr().out
    run = lineage.open_client(state.tracking_uri).get_run(RunState.load(folder).run_id)
    assert run.data.metrics == {"loss": 0.5}
    assert run.info.status == "KILLED"  # its driver never said how it ended
    assert commands.runs(["sync", str(home / "late")]) == 0
    assert "has all records" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"no spool\.jsonl"):
        commands.runs(["sync", str(home / "nowhere")])


def test_register_brings_weights_to_the_registry_once(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(weights: Path, model_name: str, folder: Path, num_classes: int | None) -> dict[str, Path]:
        (folder / "model.safetensors").write_bytes(weights.read_bytes() + b" converted")
        (folder / "model.json").write_text(json.dumps({"name": model_name, "num_classes": num_classes}))
        return {name: folder / name for name in ("model.safetensors", "model.json")}

    monkeypatch.setattr(commands, "convert", convert)
    (home / "published.pth").write_bytes(b"published")
    words = [str(home / "published.pth"), "--model", "mae_st_vit_tiny", "--as", "mine", "--alias", "champion"]
    assert commands.register(words) == 0
    assert "registered mine version 1 as models:/mine@champion" in capsys.readouterr().out
    found = resolve("models:/mine@champion")
    assert found.path.read_bytes() == b"published converted"
    assert json.loads((found.path.parent / "model.json").read_text())["name"] == "mae_st_vit_tiny"
    assert found.tags["source_file"] == "published.pth"
    assert commands.register(words) == 0
    assert "version 1" in capsys.readouterr().out


def test_register_takes_weights_with_their_own_settings(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = zoo.create_model("slowfast_tiny", num_classes={"noun": 2, "verb": 1}, num_frames=8)
    file = home / "own.safetensors"
    zoo.save_weights(model, file, {"classes": ["noun: cup", "noun: spoon", "verb: take"]})
    assert commands.register([str(file), "--model", "slowfast_tiny"]) == 0
    about = zoo.read_metadata(resolve("models:/slowfast_tiny@latest").path)
    assert about["settings"] == json.loads(json.dumps(model.settings))
    assert about["settings"]["num_classes"] == {"noun": 2, "verb": 1}
    assert about["classes"] == ["noun: cup", "noun: spoon", "verb: take"]
    with pytest.raises(ConfigError, match="3 class names do not fit the 5 classes"):
        commands.register([str(file), "--model", "slowfast_tiny", "--num-classes", "5"])


def test_register_refuses_before_it_starts(home: Path) -> None:
    with pytest.raises(WeightsError, match="no weights file at"):
        commands.register([str(home / "none.pth"), "--model", "mae_st_vit_tiny"])
    with pytest.raises(ConfigError, match="the alias 'v3' is not possible"):
        commands.register([str(home / "model.safetensors"), "--model", "mae_st_vit_tiny", "--alias", "v3"])


def test_register_says_when_the_registry_is_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, Any] = {"model.safetensors": home / "model.safetensors"}
    monkeypatch.setattr(commands, "convert", lambda *_: files)
    words = [str(home / "model.safetensors"), "--model", "tiny", "--timeout", "1"]
    with pytest.raises(RunError, match=r"did not take tiny yet: send it later with `vidmodels runs sync /"):
        commands.register([*words, "--tracking-uri", f"http://127.0.0.1:{free_port()}"])
