"""`vidmodels data check`, `data synth` and `checkpoints`."""

from __future__ import annotations

import json

import cv2
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import frames
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.training.checkpoint import Checkpointer


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(2):
        (folder / f"{number}.mp4").write_bytes(encode_mp4(frames(24, seed=number), 8))
    return folder


def test_a_clean_folder(run, folder):
    ran = run("data", "check", folder)
    assert (ran.code, ran.out) == (0, "2 videos: nothing found\n")


def test_faults_are_listed_and_counted(run, folder):
    whole = (folder / "0.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "same.mp4").write_bytes(whole)
    ran = run("data", "check", folder)
    assert ran.code == 1
    assert ran.out.splitlines()[-1] == "4 videos: 1 corrupt, 1 duplicate"
    assert any(line.startswith("corrupt") and "cut.mp4" in line for line in ran.out.splitlines())
    found = json.loads(run("data", "check", folder, "--json").out)
    assert found["faults"] == 2
    assert {(f["kind"], f["id"]) for f in found["findings"]} == {("corrupt", "cut.mp4"), ("duplicate", "same.mp4")}
    assert run("data", "check", folder, "--quick", "--json").code == 1


def test_other_data_sets_are_checked_with_their_settings(run, folder, tmp_path):
    for number in range(1, 5):
        (tmp_path / "frames/run/a").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / f"frames/run/a/{number}.jpg"), frames(1, seed=number)[0])
    ran = run("data", "check", tmp_path / "frames", "--fps", "24", "--num-frames", "4")
    assert (ran.code, ran.out) == (0, "1 video: nothing found\n")
    (tmp_path / "frames/run/a/2.jpg").unlink()
    ran = run("data", "check", tmp_path / "frames", "--fps", "24", "--num-frames", "3")
    assert ran.code == 1
    assert "has a gap: after 1.jpg comes 3.jpg" in ran.out
    listing = tmp_path / "Charades_v1_train.csv"
    listing.write_text("id,actions\n0,c001 0 1\n1,\n2,c003 0.5 1\n")
    ran = run("data", "check", listing, "--format", "charades", "--root", folder)
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "3 videos: 1 missing")
    ran = run("data", "check", listing, "--format", "ucf101", "--root", folder)
    assert ran.code == 1
    assert "is a list of charades, not of ucf101" in ran.err


def test_short_for_the_clip_that_is_asked_for(run, folder):
    ran = run("data", "check", folder, "--model", "mae_st_vit_l")
    assert ran.code == 1
    assert ran.out.splitlines()[-1] == "2 videos: 2 short"
    assert run("data", "check", folder, "--num-frames", 24).code == 0


def test_paths_that_are_no_data_set(run, tmp_path):
    ran = run("data", "check", tmp_path / "none")
    assert ran.code == 1
    assert "there is nothing at" in ran.err
    assert run("data", "check").code == 2
    assert run("data", "check", tmp_path, "--format", "zip").code == 2


def test_synthetic_videos_with_preview(run, tmp_path):
    out, preview = tmp_path / "out", tmp_path / "sheet.png"
    words = ("data", "synth", out, "--num-videos", 12, "--split", "train", "--frames", 16, "--preview", preview)
    ran = run(*words)
    assert ran.code == 0
    assert len(list(out.rglob("*.mp4"))) == 12
    listing = next(out.rglob("manifest-12.parquet"))
    assert f"train: 12 videos, {listing}" in ran.out
    assert pq.read_table(next(out.rglob("truth-12.parquet"))).num_rows == 12
    assert cv2.imread(str(preview)).shape[0] > 10 * 112
    assert run(*words).out == ran.out
    assert run("data", "check", listing).code == 0
    assert run("data", "check", out).code == 0


def test_synthetic_values_that_cannot_be(run, tmp_path):
    ran = run("data", "synth", tmp_path / "out", "--num-videos", 3)
    assert ran.code == 2
    assert ran.err.startswith("vidmodels data synth: --num-videos 3 is not possible")
    assert "must be even" in run("data", "synth", tmp_path / "out", "--num-videos", 10, "--size", 33).err
    assert run("data", "synth", tmp_path / "out", "--num-videos", 10, "--sound", "--figures").code == 2
    assert not (tmp_path / "out").exists()


def test_checkpoints_and_their_state(run, tmp_path):
    keeper = Checkpointer(tmp_path / "checkpoints", keep=3)
    for step in (10, 20):
        keeper.save(step, {"weights.bin": bytes(1000)}, {"metrics": {"top1": step / 100}})
    ran = run("checkpoints", tmp_path, "--metric", "top1")
    assert ran.code == 0
    rows = [line.split() for line in ran.out.splitlines()]
    assert rows[0][:2] == ["step", "state"]
    assert [(row[0], row[1]) for row in rows[1:]] == [("10", "ok"), ("20", "ok")]
    assert rows[2][4] == "0.2"

    next((tmp_path / "checkpoints").glob("*20/weights.bin")).write_bytes(bytes(999) + b"x")
    listed = run("checkpoints", tmp_path / "checkpoints", "--json")
    assert listed.code == 1
    assert [line["state"] for line in json.loads(listed.out)] == ["ok", "damaged"]


def test_folders_without_checkpoints(run, tmp_path):
    assert run("checkpoints", tmp_path).code == 1
    ran = run("checkpoints", tmp_path / "none")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
