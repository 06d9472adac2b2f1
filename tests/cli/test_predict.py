"""`vidmodels predict` and `convert` on small videos and a tiny model."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch

from tests.cli.conftest import frames
from vidmodels import zoo
from vidmodels.data.decode import VideoReader

DIM = zoo.entry("mae_st_vit_tiny").config["dim"]
JUMP = float(np.exp(2) / (1 + np.exp(2) + np.exp(1)))


def test_classes_come_from_the_weights(run, video, weights):
    ran = run("predict", "mae_st_vit_tiny", video, "--weights", weights, "--top", "2")
    assert ran.code == 0
    assert ran.out.splitlines() == [str(video), f"  {JUMP:.4f}  jump", "  0.2447  sit"]
    assert ", 0 resized, 0 new, 0 dropped" in ran.err
    assert run("predict", weights, video, "--top", "2").out == ran.out  # the file says which model it is


def test_json_holds_windows_and_errors(run, video, weights, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    ran = run("predict", weights, video, bad, tmp_path / "none.mp4", "--json", tmp_path / "r.json", "--clips", 3, "--crops", 3)
    assert ran.code == 1
    assert f"there is no video at {tmp_path / 'none.mp4'}" in ran.err
    assert "2 of 3 videos could not be read" in ran.err
    good, *others = json.loads((tmp_path / "r.json").read_text())
    assert [(w["start"], w["end"]) for w in good["windows"]] == [(0.0, 2.0), (1.5, 3.5), (3.0, 5.0)]
    assert good["scores"] == pytest.approx([0.09, 0.6652, 0.2447], abs=1e-3)
    assert good["top"][0] == {"name": "jump", "score": pytest.approx(JUMP, abs=1e-5)}
    assert [other["video"] for other in others] == [str(bad), str(tmp_path / "none.mp4")]
    assert "is text" in others[0]["error"]


def test_json_on_standard_output_is_nothing_else(run, video, weights):
    assert json.loads(run("predict", weights, video, "--json", "-").out)[0]["classes"] == ["run", "jump", "sit"]


def test_annotated_video_keeps_frames_and_times(run, video, weights, tmp_path):
    ran = run("predict", weights, video, "--out", tmp_path / "out", "--json", tmp_path / "r.json")
    assert ran.code == 0
    windows = json.loads((tmp_path / "r.json").read_text())[0]["windows"]
    assert [(w["start"], w["end"]) for w in windows] == [(0.0, 2.0), (2.0, 4.0), (3.0, 5.0)]
    with VideoReader(str(tmp_path / "out" / "clip.mp4")) as reader:
        seen = list(reader)
    assert [time for time, _ in seen] == pytest.approx([n / 8 for n in range(40)], abs=1e-3)
    assert seen[0][1].shape[1] == 48 * 6
    assert seen[0][1].shape[0] > 32 * 6


def test_pictures_are_for_models_of_pictures(run, weights, tmp_path):
    picture = tmp_path / "dog.jpg"
    cv2.imwrite(str(picture), frames(1, height=80, width=120)[0])
    ran = run("predict", "mvitv2_t", picture, "--top", "2", "--out", tmp_path / "out", "--json", tmp_path / "a.json")
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) == 4
    (answer,) = json.loads((tmp_path / "a.json").read_text())
    assert answer["annotated"] == str(tmp_path / "out/dog.png")
    assert cv2.imread(answer["annotated"]).shape[1] >= 120
    ran = run("predict", "mae_st_vit_tiny", picture, "--weights", weights)
    assert ran.code == 1
    assert f"{picture} is a picture, and mae_st_vit_tiny takes clips of 16 frames: give a video, or a model of" in ran.err


def test_initial_weights_are_said(run, video):
    ran = run("predict", "mae_st_vit_tiny", video)
    assert ran.code == 0
    assert "has initial weights" in ran.err


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["predict", "mae_st_vit_tinyy", "{video}"], "did you mean 'mae_st_vit_tiny'", 2),
        (["predict", "mae_st_vit_tiny", "{video}", "--weights", "none.pth"], "no weights file at none.pth", 1),
        (["predict", "{weights}", "{video}", "--labels", "none.txt"], "there is no labels file at none.txt", 1),
        (["predict", "{weights}", "{video}", "--labels", "{video}"], "cannot read the labels", 1),
        (["predict", "{weights}", "{tmp}"], "is a folder", 1),
        (["predict", "mae_st_vit_tiny_pretrain", "{video}"], "names no classes", 2),
        (["predict", "{weights}", "{video}", "--clips", "0"], "0 is less than 1", 2),
        (["predict", "{weights}", "{video}", "--device", "gpu9"], "there is no device 'gpu9'", 2),
        (["predict", "{weights}"], "required: video", 2),
    ],
)
def test_bad_input_is_one_clear_sentence(run, video, weights, tmp_path, words, message, code):
    ran = run(*(word.format(video=video, weights=weights, tmp=tmp_path) for word in words))
    assert ran.code == code
    assert message in ran.err
    assert "Traceback" not in ran.err


def test_labels_in_all_forms(run, video, weights, tmp_path):
    labels = tmp_path / "labels"
    for text in ("x\ny\nz\n", '["x", "y", "z"]', '{"2": "z", "0": "x", "1": "y"}', '{"x": 0, "z": 2, "y": 1}'):
        labels.write_text(text)
        assert "  y\n" in run("predict", weights, video, "--labels", labels, "--top", "1").out
    labels.write_text("x\ny\n")
    ran = run("predict", weights, video, "--labels", labels)
    assert ran.code == 2
    assert "2 class names were given for the 3 classes" in ran.err
    labels.write_text('{"0": "x", "7": "y"}')
    assert "without gaps" in run("predict", weights, video, "--labels", labels).err


def test_a_head_of_other_size_is_refused(run, video, weights, tmp_path):
    foreign = tmp_path / "foreign.pth"
    model, _ = zoo.load_model(weights)
    torch.save({"model": model.state_dict()}, foreign)
    ran = run("predict", "mae_st_vit_tiny", video, "--weights", foreign)
    assert ran.code == 1
    assert f"holds no head.weight that fits the model (shape (3, {DIM}) in the file, (10, {DIM}) in the model)" in ran.err
    assert run("predict", "mae_st_vit_tiny", video, "--weights", foreign, "--num-classes", 3).code == 0

    out = tmp_path / "out.safetensors"
    assert run("convert", foreign, out, "--model", "mae_st_vit_tiny").code == 1
    assert not out.exists()
    labels = tmp_path / "labels.txt"
    labels.write_text("p\nq\nr\n")
    assert run("convert", foreign, out, "--model", "mae_st_vit_tiny", "--labels", labels).code == 0
    assert zoo.read_metadata(out)["classes"] == ["p", "q", "r"]
    assert "  q\n" in run("predict", out, video, "--top", "1").out
    assert run("convert", out, out, "--model", "mae_st_vit_tiny").code == 2
    assert run("convert", foreign, tmp_path / "out.pth", "--model", "mae_st_vit_tiny").code == 2


def test_label_sets_are_counted_on_the_command_line(run, video, tmp_path):
    model = zoo.create_model("slowfast_tiny", num_classes={"noun": 2, "verb": 3})
    foreign, out, labels = tmp_path / "foreign.pth", tmp_path / "out.safetensors", tmp_path / "labels.txt"
    torch.save({"model_state": model.state_dict()}, foreign)
    labels.write_text("cup\nspoon\ntake\nput\nstir\n")
    sizes = ("--num-classes", "verb=3,noun=2")
    assert run("convert", foreign, out, "--model", "slowfast_tiny", "--labels", labels).code == 1
    assert run("convert", foreign, out, "--model", "slowfast_tiny", "--labels", labels, *sizes).code == 0
    answers = [
        run("predict", out, video, "--json", "-"),
        run("predict", "slowfast_tiny", video, "--weights", foreign, "--labels", labels, *sizes, "--json", "-"),
    ]
    converted, published = (json.loads(answer.out)[0] for answer in answers)
    assert converted["classes"] == ["noun: cup", "noun: spoon", "verb: take", "verb: put", "verb: stir"]
    assert converted["classes"] == published["classes"]
    assert converted["scores"] == pytest.approx(published["scores"])
    ran = run("convert", foreign, out, "--model", "slowfast_tiny", "--num-classes", "verb=3,verb=2")
    assert (ran.code, "verb=3,verb=2 names a label set twice" in ran.err) == (2, True)
    neither = "is neither a number nor"
    for wrong, says in (("verb=0,noun=2", "0 is less than 1"), ("verb=", neither), ("3,2", neither)):
        ran = run("convert", foreign, out, "--model", "slowfast_tiny", "--num-classes", wrong)
        assert (ran.code, says in ran.err) == (2, True)
