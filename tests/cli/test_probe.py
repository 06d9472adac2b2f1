"""`vidmodels probe`: accuracies of features that tell classes apart or do not, and files that cannot be probed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.inference.features import SOURCE, clusters, write
from vidmodels.inference.feature_file import Source

COUNTS = {"run": 12, "sit": 12, "jump": 12}


def files(folder: Path, spread: float = 0.3) -> tuple[Path, Path]:
    """Features of training and validation videos of three classes."""
    paths = []
    for number, name in enumerate(("train", "val")):
        vectors, labels = clusters(COUNTS, spread=spread, seed=number)
        vectors = {f"{name}/{video}": each for video, each in vectors.items()}
        paths.append(write(folder / f"{name}.parquet", vectors, {"label": labels}))
    return paths[0], paths[1]


@pytest.mark.parametrize("method", ["knn", "linear"])
def test_clusters_are_told_apart_and_noise_is_not(run, tmp_path, method):
    ran = run("probe", *files(tmp_path), "--method", method, "--json")
    answer = json.loads(ran.out)
    assert (ran.code, answer["method"], answer["top1"], answer["val_videos"]) == (0, method, 1.0, 36)
    assert answer["classes"] == [{"name": name, "videos": 12, "accuracy": 1.0} for name in sorted(COUNTS)]
    noise = json.loads(run("probe", *files(tmp_path, 50.0), "--method", method, "--json").out)
    assert 0.1 < noise["top1"] < 0.6  # chance is a third


def test_table_says_what_was_done(run, tmp_path):
    ran = run("probe", *files(tmp_path), "--k", 5)
    assert ran.out.splitlines()[:2] == [
        "knn (k 5, temperature 0.1): 36 videos of training, 36 to be named, 3 classes",
        "top1 100.0 %  top3 100.0 %",
    ]
    assert ran.out.splitlines()[-1].split() == ["sit", "12", "100.0", "%"]
    assert "weight decay" in run("probe", *files(tmp_path), "--method", "linear").out


def test_neighbours_are_counted_by_their_cosine(run, tmp_path):
    # two near ones outweigh three far ones where the temperature is low, and are outvoted where it is high
    angles = {"a": (5, 8), "b": (40, 42, 44)}
    vectors = {
        f"{name}{angle}": np.array([[np.cos(np.radians(angle)), np.sin(np.radians(angle))]])
        for name, each in angles.items()
        for angle in each
    }
    train = write(tmp_path / "t.parquet", vectors, {"label": [name[0] for name in vectors]})
    val = write(tmp_path / "v.parquet", {"x": np.array([[3.0, 0.0]])}, {"label": ["a"]})
    for words, right in ((("--temperature", 0.1), 1.0), (("--temperature", 10), 0.0), (("--temperature", 10, "--k", 2), 1.0)):
        assert json.loads(run("probe", train, val, *words, "--json").out)["top1"] == right


def test_a_linear_layer_is_the_same_at_each_call(run, tmp_path):
    words = ("probe", *files(tmp_path, 3.0), "--method", "linear", "--json")
    first, again = json.loads(run(*words).out), json.loads(run(*words).out)
    assert first == again
    assert 0.3 < first["top1"] < 1


def test_labels_may_be_folders_or_another_column(run, tmp_path):
    train, val = files(tmp_path)
    assert json.loads(run("probe", train, val, "--label", "folder", "--json").out)["top1"] == 1.0
    vectors, labels = clusters(COUNTS)
    path = write(tmp_path / "sets.parquet", vectors, {"label.verb": labels, "label.noun": ["x"] * 36})
    assert "top1 100.0 %" in run("probe", path, path, "--label", "label.verb").out
    ran = run("probe", path, path)
    assert (ran.code, "has no column 'label'" in ran.err) == (1, True)


def test_what_is_left_out_is_said(run, tmp_path):
    train = files(tmp_path)[0]
    vectors, labels = clusters({"run": 2, "fly": 2, "sit": 2})
    odd = write(tmp_path / "odd.parquet", vectors, {"label": [None, *labels[1:]]})
    ran = run("probe", train, odd, "--json")
    assert f"1 videos of {odd} have no label and are left out" in ran.err
    assert "1 classes of" in ran.err
    assert "'fly'" in ran.err
    accuracies = {row["name"]: row["accuracy"] for row in json.loads(ran.out)["classes"]}
    assert accuracies["fly"] == 0
    assert accuracies["jump"] is None
    assert "36 videos are in both files" in run("probe", train, train).err


def test_too_few_videos_to_choose_with(run, tmp_path):
    vectors, labels = clusters({"run": 1, "sit": 1})
    path = write(tmp_path / "f.parquet", vectors, {"label": labels})
    ran = run("probe", path, files(tmp_path)[1], "--method", "linear")
    assert (ran.code, "no class has two videos to choose the weight decay with: it is 0.01" in ran.err) == (0, True)


def test_one_class_only(run, tmp_path):
    vectors, labels = clusters({"run": 5})
    path = write(tmp_path / "f.parquet", vectors, {"label": labels})
    for method in ("knn", "linear"):
        ran = run("probe", path, files(tmp_path)[1], "--method", method)
        assert (ran.code, ran.out) == (1, "")
        assert f"all 5 labelled videos of {path} are of the class 'run': give two" in ran.err


def test_no_labels(run, tmp_path):
    vectors, _ = clusters(COUNTS)
    plain, empty = write(tmp_path / "p.parquet", vectors), write(tmp_path / "e.parquet", vectors, {"label": [None] * 36})
    ran = run("probe", plain, files(tmp_path)[1])
    assert (ran.code, "has no column 'label', no labels at all: give --data to `vidmodels features`" in ran.err) == (1, True)
    ran = run("probe", files(tmp_path)[0], empty)
    assert (ran.code, f"none of the 36 videos of {empty} has a label in 'label'" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("dim", "source"),
    [(5, Source("x3d_s", "w", "d2")), (8, Source(SOURCE.model, SOURCE.weights, SOURCE.digest, "projection"))],
)
def test_features_of_another_model(run, tmp_path, dim, source):
    vectors, labels = clusters(COUNTS, dim)
    other = write(tmp_path / "o.parquet", vectors, {"label": labels}, source)
    ran = run("probe", files(tmp_path)[0], other)
    assert (ran.code, ran.out) == (2, "")
    assert f"{other} {source}: make both with the same model" in ran.err


def test_features_that_are_not_finite(run, tmp_path):
    vectors, labels = clusters(COUNTS)
    vectors["sit/3.mp4"][0, 1] = np.inf
    ran = run("probe", write(tmp_path / "n.parquet", vectors, {"label": labels}), files(tmp_path)[1])
    assert (ran.code, "the features of sit/3.mp4 in" in ran.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--temperature", "0.001"], "exp(1 / 0.001) is no number: give a temperature of 0.002 or more"),
        (["--temperature", "0"], "0 is not above 0"),
        (["--k", "0"], "0 is less than 1"),
        (["--method", "svm"], "invalid choice"),
    ],
)
def test_settings_that_cannot_be(run, tmp_path, words, message):
    ran = run("probe", *files(tmp_path), *words)
    assert (ran.code, message in ran.err) == (2, True), ran.err
