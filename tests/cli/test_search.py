"""`vidmodels search`: videos and names as queries, pictures, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.conftest import frames
from tests.inference.features import write
from vidmodels import zoo
from vidmodels.data.synthetic.encode import encode_mp4


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    return zoo.save_weights(zoo.create_model("mae_st_vit_tiny_pretrain"), tmp_path / "encoder.safetensors")


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"v{number}.mp4" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_bytes(encode_mp4(frames(20, seed=number), 8))
    return paths


@pytest.fixture
def features(run, encoder, videos, tmp_path) -> Path:
    assert run("features", encoder, *videos, "--clips", 2, "--out", tmp_path / "f.parquet").code == 0
    return tmp_path / "f.parquet"


def test_a_copy_of_a_video_finds_it(run, features, videos, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(videos[2].read_bytes())
    ran = run("search", features, copy, "--top", 3, "--out", tmp_path / "strips.png")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[:2] == [str(copy), f"  1.0000  {videos[2]}"]
    assert [len(lines), lines[-1]] == [5, f"  {tmp_path / 'strips.png'}"]
    image = cv2.imread(str(tmp_path / "strips.png"))
    rows = 4 * 85 + 16 + 2 * 4  # four strips of 128 x 85, a gap after the query
    assert image.shape[:2] == (84 + rows + 20, 20 + 168 + 8 * 132 - 4 + 20)
    query, same = (image[top : top + 85, 188:316].astype(int) for top in (84, 84 + 85 + 16))
    assert np.abs(query - same).max() == 0


def test_a_video_of_the_file_needs_no_model(run, features, videos, encoder):
    encoder.unlink()
    ran = run("search", features, videos[1], "--top", 2, "--json")
    answer = json.loads(ran.out)
    assert (ran.code, answer["query"], answer["model"]) == (0, str(videos[1]), "mae_st_vit_tiny_pretrain")
    assert len(answer["neighbours"]) == 2
    assert str(videos[1]) not in [each["uri"] for each in answer["neighbours"]]
    assert answer["neighbours"][0]["similarity"] >= answer["neighbours"][1]["similarity"]


def test_fewer_videos_than_asked_for_are_all_named(run, features, videos):
    ran = run("search", features, videos[0], "--top", 9)
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 4
    assert f"{features} holds 3 other videos only, and 9 were asked for" in ran.err


def test_weights_may_have_moved(run, features, videos, encoder, tmp_path):
    moved = encoder.rename(tmp_path / "moved.safetensors")
    copy = videos[0].with_name("copy.mp4")
    copy.write_bytes(videos[0].read_bytes())
    assert "no weights file at" in run("search", features, copy).err
    for words in (("--weights", moved), ("--model", moved), ("--model", "mae_st_vit_tiny", "--weights", moved)):
        ran = run("search", features, copy, "--top", 1, *words)
        assert ran.out.splitlines()[1] == f"  1.0000  {videos[0]}", ran.err


def test_a_neighbour_that_is_gone_has_empty_frames(run, features, videos, tmp_path):
    videos[3].unlink()
    ran = run("search", features, videos[0], "--out", tmp_path / "s.png")
    assert ran.code == 0
    assert str(videos[3]) in ran.err
    assert (tmp_path / "s.png").is_file()


def test_another_model_is_refused(run, features, video, encoder, tmp_path):
    other = zoo.save_weights(zoo.create_model("slowfast_tiny"), tmp_path / "other.safetensors")
    ran = run("search", features, video, "--model", other)
    assert (ran.code, ran.out) == (2, "")
    assert f"holds the features of mae_st_vit_tiny_pretrain of {encoder}, and the query's are the features of slow" in ran.err
    other = zoo.save_weights(zoo.create_model("mae_st_vit_tiny_pretrain"), tmp_path / "same_name.safetensors")
    assert run("search", features, video, "--model", other).code == 2  # of the same width, but other weights


def test_initial_weights_cannot_be_loaded_again(run, video, videos, tmp_path):
    assert run("features", "slowfast_tiny", *videos, "--out", tmp_path / "f.parquet").code == 0
    ran = run("search", tmp_path / "f.parquet", video)
    assert ran.code == 2
    assert "was made by slowfast_tiny with initial weights, which nobody can load again" in ran.err
    assert run("search", tmp_path / "f.parquet", videos[0]).code == 0


@pytest.mark.parametrize(
    ("query", "message"),
    [("bad.mp4", "bad.mp4 is text"), ("none.mp4", "there is no video at none.mp4"), (".", "is a folder")],
)
def test_queries_that_cannot_be_read(run, features, tmp_path, monkeypatch, query, message):
    monkeypatch.chdir(tmp_path)
    Path("bad.mp4").write_bytes(b"not a video")
    ran = run("search", features, query, "--out", "s.png")
    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err
    assert not Path("s.png").exists()


def test_files_that_cannot_be_searched(run, video, tmp_path):
    assert "there is no file of features at" in run("search", tmp_path / "none.parquet", video).err
    (tmp_path / "x.parquet").write_bytes(b"x" * 100)
    assert "is no Parquet file" in run("search", tmp_path / "x.parquet", video).err
    path = write(tmp_path / "nan.parquet", {str(video): np.ones((1, 3)), "b": np.full((1, 3), np.nan)})
    ran = run("search", path, video)
    assert (ran.code, "the features of b in" in ran.err) == (1, True)
