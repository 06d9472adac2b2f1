"""Data sets of other kinds than folders of videos are trained on and evaluated from the command line, without Ray."""

from __future__ import annotations

import json

import pyarrow.parquet as pq

from tests.data import videos
from tests.data.formats.files import frames, picture, write
from tests.pipelines.programs import BARE

CHARADES = "id,actions,length\n"


def test_several_labels_with_their_times(programs, tmp_path):
    lists = {"train": CHARADES, "test": CHARADES}
    for number in range(6):
        videos.write(tmp_path / f"videos/V{number}.mp4" if number else _first(tmp_path), 24, size=(32, 40))
        lists["train" if number < 4 else "test"] += f"V{number},c00{number % 3} 0.00 0.40;c100 0.40 0.80,0.8\n"
    lists["train"] += "GONE,c001 0 1,1\n"
    paths = {part: write(tmp_path / f"Charades_v1_{part}.csv", text) for part, text in lists.items()}
    root = ("--data.root", str(tmp_path / "videos"))
    said = programs.classify("--data.path", paths["train"], "--data.val-path", paths["test"], *root, "--data.multi-label",
                             "True", "--data.clip.repeats", "2", *BARE, recipe="slow_tiny")  # fmt: skip
    assert said.code == 0, said.err
    assert f"1 of the videos that {paths['train']} lists are missing, the first is GONE" in said.err + said.out
    (run,) = programs.runs("train_classifier")
    assert "val_map" in (run / "metrics.csv").read_text()
    found = _evaluated(programs, run, tmp_path, "--data.path", paths["test"], *root, "--evaluation.num-clips", "2",
                       "--evaluation.combine", "max")  # fmt: skip
    assert (found["videos"], found["undecoded"]) == (2, 0)
    assert 0 <= found["map"] <= 1


def test_videos_that_are_folders_of_frames(programs, tmp_path):
    for name in ("run", "jump"):
        for number in range(4):
            frames(tmp_path / f"v/{name}/{number}", 20, size=(32, 40))
    (tmp_path / "v/run/3/000007.png").unlink()  # a gap: this one is left out
    data = ("--data.path", str(tmp_path / "v"), "--data.fps", "25")
    said = programs.classify(*data, "--data.val-fraction", "0.25", "--data.max-bad-fraction", "1", *BARE, recipe="slow_tiny")
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    found = _evaluated(programs, run, tmp_path, *data)
    assert (found["videos"], found["undecoded"], list(found["errors"])) == (7, 1, ["run/3"])
    assert "has a gap: after 000006.png comes 000008.png" in found["errors"]["run/3"]


def test_pictures(programs, tmp_path):
    for part, count in (("train", 4), ("val", 2)):
        for label, name in enumerate(("cat", "dog")):
            for number in range(count):
                picture(tmp_path / part / name / f"{number}.JPEG", videos.numbered(number + 100 * label, 72, 96))
    (tmp_path / "val/dog/1.JPEG").rename(tmp_path / "val/cat/9.JPEG")
    data = ("--data.path", str(tmp_path / "train"), "--data.val-path", str(tmp_path / "val"))
    said = programs.classify(*data, "--data.clip.size", "64", "--schedule.max-steps", "2", *BARE, recipe="mvitv2_t_imagenet")
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    assert "val_top1" in (run / "metrics.csv").read_text()
    found = _evaluated(programs, run, tmp_path, "--data.path", str(tmp_path / "val"))
    assert (found["videos"], found["undecoded"]) == (4, 0)
    out = tmp_path / "predictions"
    said = programs.predict(str(run), "--data.path", str(tmp_path / "val"), "--out", str(out), "--top", "1")
    assert said.code == 0, said.err
    assert {row["classes"][0] for row in pq.read_table(out).to_pylist()} <= {"cat", "dog"}
    wrong = programs.classify(*data, *BARE, recipe="slow_tiny")
    assert wrong.code == 1
    assert "8 of the 8 samples are pictures, and the model takes" in wrong.err
    assert "\n" not in wrong.err.strip()


def test_parts_of_one_folder(programs, tmp_path):
    marks = {"train": 1, "test": 2}
    for name in ("run", "jump"):
        lines = []
        for part, mark in marks.items():
            for number in range(2):
                (tmp_path / name).mkdir(exist_ok=True)
                videos.write(tmp_path / name / f"{part}{number}.avi", 20, size=(32, 32))
                lines.append(f"{part}{number}.avi {mark}")
        write(tmp_path / f"splits/{name}_test_split1.txt", "\n".join(lines))
    said = programs.classify("--data.path", str(tmp_path / "splits"), "--data.split", "train1", "--data.val-split", "test1",
                             *BARE, recipe="slow_tiny")  # fmt: skip
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    found = _evaluated(programs, run, tmp_path, "--data.path", str(tmp_path / "splits"), "--data.split", "test1")
    assert found["videos"] == 4


def test_validation_of_classes_that_training_has_not(programs, tmp_path):
    for name in ("a/run/1", "a/jump/1", "b/swim/1"):
        frames(tmp_path / name, 3)
    said = programs.classify("--data.path", str(tmp_path / "a"), "--data.val-path", str(tmp_path / "b"), "--data.fps", "9",
                             *BARE, recipe="slow_tiny")  # fmt: skip
    assert said.code == 1
    assert "the label 'swim' is not in the list of 2 classes" in said.err


def _first(tmp_path):
    (tmp_path / "videos").mkdir()
    return tmp_path / "videos/V0.mp4"


def _evaluated(programs, run, tmp_path, *words):
    out = tmp_path / "results"
    said = programs.evaluate(str(run), *words, "--out", str(out))
    assert said.code == 0, said.err
    return json.loads((out / "evaluation.json").read_text())
