"""`vidmodels explain` on small videos and tiny models."""

from __future__ import annotations

import json

import cv2
import pytest
import torch

from vidmodels import zoo
from vidmodels.cli import main as program
from vidmodels.data.decode import VideoReader


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setitem(program.COMMANDS, "explain", ("vidmodels.cli.explain", "evidence for the classes of videos"))


def test_pictures_video_and_json(run, video, weights, tmp_path):
    ran = run("explain", weights, video, "--out", tmp_path / "out")
    assert ran.code == 0
    base = tmp_path / "out" / "clip"
    lines = ran.out.splitlines()
    assert lines[0] == str(video)
    assert [line.split()[:4] for line in lines[1:4]] == [
        [a, "to", b, "s"] for a, b in (("0.00", "2.00"), ("2.00", "4.00"), ("3.00", "5.00"))
    ]
    assert all(line.endswith("jump") for line in lines[1:4])
    assert lines[4:] == [f"  {base}.png", f"  {base}.mp4", f"  {base}.json"]
    answer = json.loads(base.with_suffix(".json").read_text())
    assert (answer["model"], answer["method"], answer["weights"]) == ("mae_st_vit_tiny", "relevance", str(weights))
    assert [len(window["frames"]) for window in answer["windows"]] == [16] * 3
    assert answer["windows"][0]["pathways"] == {}
    assert cv2.imread(answer["sheet"]).shape[0] == 84 + 6 * 128 + 3 * 4 + 2 * 16 + 20
    with VideoReader(answer["annotated"]) as reader:
        assert [time for time, _ in reader] == pytest.approx([n / 8 for n in range(40)], abs=1e-3)


def test_a_class_can_be_asked_for(run, video, weights, tmp_path):
    ran = run("explain", weights, video, "--class", "sit", "--stride", "3", "--out", tmp_path / "out", "--method", "attention")
    assert ran.code == 0
    answer = json.loads((tmp_path / "out" / "clip.json").read_text())
    assert [(window["class"], window["score"]) for window in answer["windows"]] == [
        ("sit", pytest.approx(0.2447, abs=1e-4))
    ] * 2
    assert answer["method"] == "attention"


def test_pathways_have_strips_and_shares(run, video, tmp_path):
    # two pathways: the sheet has their strips below that of the class
    name = zoo.list_models("slowfast*tiny*")[0]
    torch.manual_seed(0)
    ran = run("explain", name, video, "--out", tmp_path)
    assert ran.code == 0
    assert "has initial weights" in ran.err
    answer = json.loads((tmp_path / "clip_explained.json").read_text())  # beside the video itself
    assert {name for window in answer["windows"] for name in window["pathways"]} == {"slow", "fast"}
    with VideoReader(str(video)) as reader:
        assert reader.info.width == 48  # it was not overwritten


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["{weights}", "{video}", "--class", "jmp"], "has no class 'jmp' (did you mean 'jump'?)", 2),
        (["{weights}", "{video}", "--method", "grad-cam"], "grad-cam explains ConvNets", 2),
        (["{weights}", "{video}", "--method", "lime"], "invalid choice: 'lime'", 2),
        (["mae_st_vit_tiny_pretrain", "{video}"], "MaskedAutoencoder names no class of a clip", 2),
        (["{weights}", "{tmp}/none.mp4"], "there is no video at", 1),
        (["{weights}", "{video}", "--stride", "0"], "is not above 0", 2),
    ],
)
def test_bad_input_is_one_clear_sentence(run, video, weights, tmp_path, words, message, code):
    ran = run(
        "explain", *(word.format(video=video, weights=weights, tmp=tmp_path) for word in words), "--out", tmp_path / "out"
    )
    assert ran.code == code
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "out").exists()
