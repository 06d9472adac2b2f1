"""The training programs from the command line to the registered model, without Ray."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from pipelines.common.kinds.classify import Classify
from pipelines.common.spool import pending_records
from tests.data import videos
from tests.pipelines.programs import BARE, sentence, sigterm_half_way
from vidmodels import zoo
from vidmodels.training.checkpoint import Checkpointer


def rows_of(run: Path) -> list[dict[str, str]]:
    with open(run / "metrics.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_pre_training_leaves_pictures_lineage_and_a_model_that_fine_tuning_takes_by_name(programs):
    said = programs.pretrain()
    assert said.code == 0, said.err
    (folder,) = programs.runs("pretrain_mae")
    for name in ("recipe.json", "finished.json", "metrics.csv", "loss_curve.png", "sample_batch.png", "reconstruction.png",
                 "reconstruction.mp4", "report.html", "model/model.safetensors"):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    rows = rows_of(folder)
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(0 < float(row["patch_mean_loss"]) < float(row["loss"]) for row in rows), "untrained, worse than the mean"
    assert "registered as models:/mae_st_vit_tiny_pretrain@latest" in said.out

    again = programs.pretrain()
    assert again.code == 0
    assert "is finished (step 4" in again.out
    assert "--fresh" in again.out

    tuned = programs.classify("--init", "models:/mae_st_vit_tiny_pretrain@latest", "--run.pictures", "False")
    assert tuned.code == 0, tuned.err
    (run,) = programs.runs("train_classifier")
    assert json.loads((run / "finished.json").read_text())["metrics"]["val_videos"] == 10
    model, metadata = zoo.load_model(run / "model" / "model.safetensors")
    assert metadata["classes"][:2] == ["left", "right"]
    assert model.num_classes == 10


def test_a_probe_trains_the_head_only(programs, tmp_path):
    programs.pretrain(*BARE)
    (source,) = programs.runs("pretrain_mae")
    said = programs.classify("--init", str(source), *BARE, recipe="mae_st_tiny_probe")
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    before, _ = zoo.load_model(source / "model" / "model.safetensors")
    after, _ = zoo.load_model(run / "model" / "model.safetensors")
    fixed = before.encoder.state_dict()
    assert all(torch.equal(value, fixed[key]) for key, value in after.encoder.state_dict().items())
    assert after.head.weight.abs().sum() > 0


def test_sigterm_writes_a_checkpoint_and_the_next_start_ends_as_if_nothing_had_been(programs):
    calm = programs.pretrain(*BARE, "--run.name", "calm")
    assert calm.code == 0
    wanted, _ = zoo.load_model(programs.home / "calm" / "model" / "model.safetensors")
    with sigterm_half_way():
        stopped = programs.pretrain(*BARE, "--run.name", "stopped")
    assert stopped.code == 143
    assert "stopped at step 2 with a checkpoint" in stopped.err
    assert not (programs.home / "stopped" / "finished.json").exists()
    resumed = programs.pretrain(*BARE, "--run.name", "stopped")
    assert resumed.code == 0, resumed.err
    found, _ = zoo.load_model(programs.home / "stopped" / "model" / "model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(wanted.state_dict().values(), found.state_dict().values()))
    assert [row["step"] for row in rows_of(programs.home / "stopped")] == ["2", "4"]


def test_a_stopped_run_goes_on_after_its_videos_were_moved(programs, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for name in ("a", "b", "c", "d"):
        videos.write(here / f"{name}.mp4", 16, size=(32, 48))
    with sigterm_half_way():
        assert programs.pretrain(*BARE, "--data.path", str(here)).code == 143
    here.rename(there)
    resumed = programs.pretrain(*BARE, "--data.path", str(there))
    assert resumed.code == 0, resumed.err
    assert "from step 2" in resumed.err
    assert len(programs.runs("pretrain_mae")) == 1


def test_dry_run_writes_nothing(programs):
    said = programs.pretrain("--dry-run")
    assert said.code == 0, said.err
    assert "one step went through" in said.out
    assert programs.runs("pretrain_mae") == []


def test_a_name_that_exists_with_another_recipe(programs):
    programs.pretrain(*BARE, "--run.name", "mine")
    said = programs.pretrain(*BARE, "--run.name", "mine", "--optim.lr", "0.5")
    assert said.code == 1
    assert "optim.lr: 0.002 -> 0.5" in said.err
    fresh = programs.pretrain(*BARE, "--run.name", "mine", "--optim.lr", "0.5", "--fresh")
    assert fresh.code == 0, fresh.err
    assert (programs.home / "mine.old-1" / "finished.json").exists()


def test_published_forms_and_classes_travel(programs, tmp_path):
    """A folder per class, a held-out share, and the class names in the weights."""
    for name in ("jump", "run"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        for number in range(6):
            videos.write(tmp_path / "classes" / name / f"{number}.mp4", 20, size=(32, 32))
    said = programs.classify("--data.path", str(tmp_path / "classes"), "--data.val-fraction", "0.3", *BARE)
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    assert zoo.read_metadata(run / "model" / "model.safetensors")["classes"] == ["jump", "run"]


def test_validation_videos_are_evaluated_once_and_the_tables_are_of_that(programs, monkeypatch):
    calls, original = [], Classify.evaluate
    monkeypatch.setattr(Classify, "evaluate", lambda self, *given: calls.append(1) or original(self, *given))
    said = programs.classify("--run.lineage", "False", "--train.ema-decay", "0.5")
    assert said.code == 0, said.err
    assert len(calls) == 1
    (run,) = programs.runs("train_classifier")
    with open(run / "per_class.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    right = sum(float(row["accuracy"]) * int(row["support"]) for row in rows)
    metrics = json.loads((run / "finished.json").read_text())["metrics"]
    assert right / metrics["val_videos"] == pytest.approx(metrics["val_top1"])


# ---- what is wrong outside: one sentence each, a non-zero exit, no run left behind


def folder_of(tmp_path, **files: bytes):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return str(folder)


def test_no_folder(programs, tmp_path):
    sentence(programs.pretrain("--data.path", str(tmp_path / "none")), str(tmp_path / "none"))
    assert programs.runs("pretrain_mae") == []


def test_an_empty_folder_and_one_without_videos(programs, tmp_path):
    folder = folder_of(tmp_path)
    sentence(programs.pretrain("--data.path", folder), "is empty", folder)
    (tmp_path / "videos" / "notes.txt").write_text("hello")
    sentence(programs.pretrain("--data.path", folder), "no video", folder)


def test_all_corrupt(programs, tmp_path):
    folder = folder_of(tmp_path, **{f"v{i}__mp4": b"not a video" * 100 for i in range(8)})
    sentence(programs.pretrain("--data.path", folder, *BARE), "could not be decoded", "data.max_bad_fraction")


def test_a_bucket_that_is_away(programs):
    sentence(programs.pretrain("--data.path", "s3://bucket.invalid.example/x?endpoint_override=http://127.0.0.1:9"), "s3://")


def test_an_unknown_scheme(programs):
    sentence(programs.pretrain("--data.path", "ftp://host/videos"), "ftp://host/videos")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder(programs, tmp_path):
    folder = folder_of(tmp_path)
    os.chmod(folder, 0)
    sentence(programs.pretrain("--data.path", folder), folder)


def test_patches_that_do_not_divide(programs):
    sentence(programs.pretrain("--data.clip.size", "36"), "36", "patch")


def test_a_run_of_a_few_steps_says_so(programs):
    said = programs.pretrain("--schedule.max-steps", "None", "--schedule.epochs", "0.4", *BARE)
    assert said.code == 0, said.err
    assert "only 2 steps; --schedule.epochs 20 makes 100" in said.err


def test_a_classifier_without_labels(programs, tmp_path):
    folder = folder_of(tmp_path)
    videos.write(tmp_path / "videos" / "a.mp4", 20, size=(32, 32))
    sentence(programs.classify("--data.path", folder), "have no labels")


def test_a_model_of_another_task(programs):
    sentence(programs.pretrain("--model.name", "mae_st_vit_tiny"), "mae_st_vit_tiny", "classify")


@pytest.mark.parametrize(
    ("words", "says"), [(("--model.name", "slowfats_tiny"), "slowfats_tiny"), (("--init", "nowhere.pth"), "nowhere.pth")]
)
def test_what_is_wrong_is_said_before_a_world_is_rendered(programs, words, says):
    world = programs.home / "synthetic"
    before = sorted(world.rglob("*"))
    sentence(programs.classify("--data.synthetic.num-videos", "30", *BARE, *words), says)
    assert sorted(world.rglob("*")) == before


def test_weights_that_are_not_there(programs):
    sentence(programs.classify("--init", "nowhere.pth", *BARE), "no weights file at nowhere.pth")
    sentence(programs.classify("--init", "models:/nobody@latest", *BARE), "no model registry")


def test_weights_of_another_model(programs, tmp_path):
    torch.save({"model": {"conv1.weight": torch.zeros(64, 3, 7, 7)}}, tmp_path / "resnet.pth")
    sentence(programs.classify("--init", str(tmp_path / "resnet.pth"), *BARE), "resnet.pth")


def test_truncated_weights(programs, tmp_path):
    torch.save({"model": {"conv1.weight": torch.zeros(64, 3, 7, 7)}}, tmp_path / "w.pth")
    whole = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(whole[: len(whole) // 2])
    sentence(programs.classify("--init", str(tmp_path / "w.pth"), *BARE), "w.pth")


def test_a_clip_longer_than_the_video_repeats_the_last_frame_and_says_so(programs, tmp_path):
    folder = folder_of(tmp_path)
    for number in range(8):
        videos.write(tmp_path / "videos" / f"{number}.mp4", 9, size=(32, 32))
    said = programs.pretrain("--data.path", folder, *BARE)
    assert said.code == 0, said.err
    assert "shorter than the clip" in said.err


def test_a_relative_path_in_a_submitted_job(programs, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    sentence(programs.pretrain("--data.path", "clips"), "'clips' is relative", "absolute path")


def test_mlflow_that_is_away_neither_stops_a_run_nor_loses_its_records(programs, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("pipelines.common.execute.SEND_AT_END_S", 2.0)
    said = programs.pretrain("--run.pictures", "False", "--run.name", "alone")
    assert said.code == 0, said.err
    assert "records are not in MLflow yet: vidmodels runs sync" in said.err
    assert pending_records(programs.home / "alone" / "lineage") > 5


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 12 MB, enough for one checkpoint of the tiny model and not for two."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", str(folder)], check=False)


def test_a_full_disk_stops_with_a_sentence_and_the_last_checkpoint_is_whole(programs, small_disk):
    words = (*BARE, "--run.storage", str(small_disk), "--run.name", "full")
    sentence(programs.pretrain(*words), str(small_disk), "full")
    newest = Checkpointer(str(small_disk / "full" / "checkpoints")).newest()
    assert newest is not None
    assert newest.step == 2
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    resumed = programs.pretrain(*words)
    assert resumed.code == 0, resumed.err
    assert "from step 2" in resumed.err
