"""`vidmodels map`: a picture of all videos, and files that have none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.cli.conftest import frames
from tests.inference.features import clusters, write
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.visual.canvas import rgb
from vidmodels.visual.scatter import COLOURS


def colours_of(path) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(cv2.imread(str(path))[..., ::-1].reshape(-1, 3), axis=0)}


def test_videos_are_drawn_with_frames_and_colours(run, tmp_path):
    vectors, labels = clusters({"run": 4, "sit": 4})
    uris = [str(tmp_path / f"{number}.mp4") for number in range(8)]
    for number, uri in enumerate(uris[:-1]):
        (tmp_path / uri).write_bytes(encode_mp4(frames(8, seed=number), 8))
    features = write(tmp_path / "f.parquet", vectors, {"uri": uris, "label": labels})
    ran = run("map", features, "--out", tmp_path / "out" / "map.png")
    assert ran.code == 0, ran.err
    assert f"{tmp_path}/out/map.png: 8 videos, " in ran.out
    assert "of the variance" in ran.out
    assert {rgb(colour) for colour in COLOURS[:2]} <= colours_of(tmp_path / "out" / "map.png")
    assert run("map", features, "--label", "folder", "--out", tmp_path / "one.png").code == 0
    assert rgb(COLOURS[1]) not in colours_of(tmp_path / "one.png")


def test_a_video_that_is_gone_has_a_dot(run, tmp_path):
    vectors, _ = clusters({"run": 3})
    ran = run("map", write(tmp_path / "f.parquet", vectors), "--out", tmp_path / "map.png")
    assert ran.code == 0
    assert "3 videos, 0 with a frame" in ran.out
    assert "videos have a dot in place of a frame: " in ran.err


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["{none}", "--out", "{out}"], "there is no file of features at", 1),
        (["{few}", "--out", "{out}"], "holds 2 videos: a map needs three or more", 1),
        (["{plain}", "--label", "verb", "--out", "{out}"], "has no column 'verb', no labels at all", 1),
        (["{plain}"], "required: --out", 2),
    ],
)
def test_bad_input_is_one_clear_sentence(run, tmp_path, words, message, code):
    names = {
        "none": tmp_path / "none.parquet",
        "few": write(tmp_path / "few.parquet", clusters({"run": 2})[0]),
        "plain": write(tmp_path / "plain.parquet", clusters({"run": 4})[0]),
        "out": tmp_path / "map.png",
    }
    ran = run("map", *(word.format(**names) for word in words))
    assert (ran.code, message in ran.err) == (code, True), ran.err
    assert not (tmp_path / "map.png").exists()
