"""Evaluation and bulk prediction from their command lines, without Ray."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest

from tests.data import videos
from tests.pipelines.programs import BARE


@pytest.fixture
def classes(tmp_path):
    """Two classes of six videos, one of which is damaged."""
    folder = tmp_path / "classes"
    for name in ("jump", "run"):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            videos.write(folder / name / f"{number}.mp4", 20, size=(32, 40))
    (folder / "run" / "5.mp4").write_bytes(b"damaged" * 100)
    return folder


@pytest.fixture
def classifier(programs, classes):
    """A run's folder with a classifier of the two classes."""
    said = programs.classify("--data.path", str(classes), "--data.max-bad-fraction", "1", *BARE)
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    return str(run)


def test_evaluation_takes_every_video_once_and_names_the_damaged_one(programs, classes, classifier, tmp_path):
    out = tmp_path / "results"
    said = programs.evaluate(classifier, "--data.path", str(classes), "--evaluation.num-clips", "2",
                             "--evaluation.num-crops", "3", "--out", str(out))  # fmt: skip
    assert said.code == 0, said.err
    found = json.loads((out / "evaluation.json").read_text())
    assert (found["videos"], found["undecoded"]) == (11, 1)
    assert list(found["errors"]) == ["run/5.mp4"]
    assert found["views"] == "2 x 3"
    assert 0 <= found["top1"] <= 1
    assert {p.name for p in out.iterdir()} == {"evaluation.json", "per_class.csv", "slices.csv", "confusion_matrix.png"}


def test_evaluation_on_classes_that_the_model_does_not_know(programs, classes, classifier):
    (classes / "run").rename(classes / "swim")
    said = programs.evaluate(classifier, "--data.path", str(classes))
    assert said.code == 1
    assert "does not know 1 of the 2 classes of the data, the first is 'swim'" in said.err


def test_evaluation_matches_classes_by_name(programs, classes, classifier, tmp_path):
    """Data with only the second of the model's classes, where it is the first label."""
    shutil.rmtree(classes / "jump")
    out = tmp_path / "results"
    said = programs.evaluate(classifier, "--data.path", str(classes), "--data.format", "classes", "--out", str(out))
    assert said.code == 0, said.err
    table = (out / "per_class.csv").read_text().splitlines()
    assert [line.split(",")[:1] for line in table[1:]] == [["jump"], ["run"]]


def test_an_encoder_cannot_be_evaluated(programs):
    programs.pretrain(*BARE)
    (run,) = programs.runs("pretrain_mae")
    said = programs.evaluate(str(run))
    assert said.code == 2
    assert "without classes" in said.err


def test_predictions_of_a_folder_are_resumed_and_counted(programs, classes, classifier, tmp_path):
    out = tmp_path / "predictions"
    words = (classifier, "--data.path", str(classes), "--out", str(out), "--part", "5", "--top", "1")
    said = programs.predict(*words)
    assert said.code == 0, said.err
    assert "12 videos, 1 not decoded" in said.out
    table = pq.read_table(out).to_pylist()
    assert len({row["id"] for row in table}) == len(table) == 12
    assert [row["id"] for row in table if row["error"]] == ["run/5.mp4"]
    assert all(row["classes"][0] in ("jump", "run") for row in table if not row["error"])
    (out / "part-00001.parquet").unlink()
    again = programs.predict(*words)
    assert "7 of 12 videos are done already" in again.out
    assert pq.read_table(out).to_pylist() == table


def test_features_of_an_encoder(programs, classes, tmp_path):
    programs.pretrain(*BARE)
    (run,) = programs.runs("pretrain_mae")
    out = tmp_path / "features"
    said = programs.predict(str(run), "--data.path", str(classes), "--out", str(out), "--what", "features",
                            "--evaluation.num-clips", "3")  # fmt: skip
    assert said.code == 0, said.err
    table = pq.read_table(out).to_pylist()
    good = [row for row in table if not row["error"]]
    assert len(good) == 11
    for row in good:
        assert len(row["features"]) == 3
        assert len(row["features"][0]) == 96
        # 16 of 20 frames at 30 frames per second: the first, the middle and the last of them
        assert row["start"] == pytest.approx([0, 2 / 30, 4 / 30])
        assert row["end"] == pytest.approx([16 / 30, 18 / 30, 20 / 30], abs=1e-3)  # a container rounds durations
    (bad,) = [row for row in table if row["error"]]
    assert bad["features"] == bad["start"] == bad["end"] == []


def test_predictions_of_other_settings_are_not_mixed(programs, classes, classifier, tmp_path):
    words = (classifier, "--data.path", str(classes), "--out", str(tmp_path / "p"))
    programs.predict(*words)
    said = programs.predict(*words, "--top", "2")
    assert said.code == 1
    assert "top: 5 -> 2" in said.err


def test_a_place_that_cannot_be_written(programs, classes, classifier, tmp_path):
    (tmp_path / "file").write_text("")
    said = programs.predict(classifier, "--data.path", str(classes), "--out", str(tmp_path / "file" / "p"))
    assert said.code == 1
    assert "cannot write to" in said.err
