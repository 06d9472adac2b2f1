"""What a user is told about the sound of videos: whether it was heard, and what is missing."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import torch

from tests.data.sounds import beeping
from vidmodels import zoo
from vidmodels.inference.predictor import Predictor


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    return zoo.save_weights(zoo.create_model("avslowfast_tiny", num_classes=3), tmp_path / "hears.safetensors")


@pytest.fixture
def videos(tmp_path):
    """Six seconds each: with a beep, without an audio stream, and with sound in the first 2.5 seconds."""
    return (
        beeping(tmp_path / "beep.mp4", 1.0, 6.0),
        beeping(tmp_path / "mute.mp4", None, 6.0),
        beeping(tmp_path / "short.mp4", 1.0, 6.0, sound_seconds=2.5),
    )


def test_predict_says_whether_sound_was_used(run, weights, videos):
    done = run("predict", weights, *videos, "--clips", 3)
    assert done.code == 0, done.err
    assert f"{videos[0]} (with sound)" in done.out
    assert f"{videos[1]} (without sound: it has none)" in done.out
    assert f"{videos[2]} (with sound in 2 of 3 clips)" in done.out
    answers = json.loads(run("predict", weights, videos[2], "--clips", 3, "--json", "-").out)
    assert [window["heard"] for window in answers[0]["windows"]] == [True, True, False]


def test_the_sound_changes_the_answer_and_its_absence_is_the_pictures_alone(weights, videos, tmp_path):
    model, _ = zoo.load_model(weights)
    predictor = Predictor(model)
    heard, mute = (predictor.predict(video).scores for video in videos[:2])
    assert abs(heard - mute).max() > 1e-4  # the pictures are the same
    silent = predictor.predict(videos[2], num_clips=3).windows[2]
    alone = predictor.predict(videos[1], num_clips=3).windows[2]
    assert silent.scores == pytest.approx(alone.scores, abs=1e-5)


def test_required_sound_that_is_missing_is_one_sentence(run, weights, videos):
    done = run("predict", weights, *videos, "--clips", 3, "--require-sound")
    assert done.code == 1
    assert f"{videos[1]} has no sound, and sound is required: give a video with an audio stream" in done.err
    assert f"{videos[2]} has no sound from 4.00 to 6.00 s, and sound is required" in done.err
    assert f"{videos[0]} (with sound)" in done.out


def test_sound_cannot_be_required_of_a_model_that_takes_none(run, videos):
    done = run("predict", "slowfast_tiny", videos[0], "--require-sound")
    assert done.code != 0
    assert "slowfast_tiny takes no sound: leave out --require-sound" in done.err


def test_features_count_what_has_no_sound(run, weights, videos, tmp_path):
    out = tmp_path / "f.parquet"
    done = run("features", weights, videos[0], videos[1], "--out", out)
    assert done.code == 0, done.err
    assert "3 of them without sound" in done.out
    assert pq.read_table(out).num_rows == 6


def test_explain_shows_what_was_heard(run, weights, videos, tmp_path):
    done = run("explain", weights, videos[0], videos[1], "--out", tmp_path / "out", "--stride", 4)
    assert done.code == 0, done.err
    heard, mute = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("beep", "mute"))
    assert {window["heard"] for window in heard["windows"]} == {True}
    assert {window["heard"] for window in mute["windows"]} == {False}
    assert all(window["pathways"]["audio"] != 0 for window in heard["windows"])
    assert all(window["pathways"]["audio"] == 0 for window in mute["windows"])
    assert "(without sound)" in done.out


def test_show_tells_of_the_sound(run):
    assert "64 rows of 40 mel bands" in run("show", "avslowfast_tiny").out
    assert json.loads(run("show", "slowfast_tiny", "--json").out)["input"]["audio"] is None
