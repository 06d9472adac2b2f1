"""`vidmodels export`: the file, the report, predictions from the file, and one sentence for each thing that cannot be."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import frames
from vidmodels.cli import export_table
from vidmodels.data.synthetic.encode import encode_mp4


def sentence(ran) -> str:
    """The one line on standard error of a command that failed with the code for usage or 1."""
    assert ran.code in (1, 2)
    assert ran.out == ""
    lines = ran.err.splitlines()
    assert len(lines) == 1, ran.err
    return lines[0].removeprefix("vidmodels export: ")


@pytest.mark.parametrize(("format", "suffix"), [("onnx", ".onnx"), ("torch-export", ".pt2")])
def test_predictions_of_the_file_are_those_of_the_model(run, video, weights, tmp_path, format, suffix):
    file = tmp_path / f"out{suffix}"
    ran = run("export", weights, "--format", format, "--out", file, "--rounds", 2)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == f"{file}: mae_st_vit_tiny as {format}, any number of clips"
    assert lines[1] == "  input  clips float32 [batch, 3, 16, 32, 32]"
    assert float(lines[2].split()[4]) < 1e-5
    assert lines[3].split() == ["form", "MB", "of", "eager", "ms", "times", "as", "fast"]
    assert [line.split()[0] for line in lines[4:6]] == ["eager", format]
    assert lines[6] == "medians of 2 runs of one clip in turn, 1 thread"
    ours = run("predict", file, video, "--json", "-")
    theirs = run("predict", weights, video, "--json", "-")
    assert ours.code == 0
    assert ours.err == ""
    one, other = json.loads(ours.out)[0], json.loads(theirs.out)[0]
    assert one["classes"] == other["classes"] == ["run", "jump", "sit"]
    assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)


def test_report_as_json(run, tmp_path, weights):
    ran = run("export", weights, "--format", "torch-export", "--out", tmp_path / "m.pt2", "--batch", 2, "--json", "-")
    report = json.loads(ran.out)
    assert (report["format"], report["batch"], report["rounds"], report["int8"]) == ("torch-export", 2, 10, None)
    assert [form["name"] for form in report["forms"]] == ["eager", "torch-export"]
    assert report["error"] < 1e-5


def test_int8_says_how_often_it_agrees(run, tmp_path, weights):
    videos = []
    for number in range(2):
        videos.append(tmp_path / f"{number}.mp4")
        videos[-1].write_bytes(encode_mp4(frames(40, seed=number), 8))
    out = tmp_path / "m.onnx"
    ran = run(
        "export", weights, "--format", "onnx", "--out", out, "--int8", "--calibrate", *videos, "--clips", 4, "--rounds", 1
    )
    assert ran.code == 0, ran.err
    assert "highest class as in float for 100.0% of 2 calibration clips and 100.0% of 2 others" in ran.out
    assert [line.split()[0] for line in ran.out.splitlines()[5:8]] == ["eager", "onnx", "int8"]


def test_initial_weights_are_said(run, tmp_path, video):
    out = tmp_path / "m.pt2"
    ran = run("export", "mae_st_vit_tiny", "--format", "torch-export", "--out", out, "--rounds", 1)
    assert ran.err.startswith("vidmodels export: mae_st_vit_tiny has initial weights, so the file's answers will mean nothing")
    assert run("predict", out, video).err == (
        f"vidmodels predict: {out} has initial weights, so its answers mean nothing: export it with --weights\n"
    )


def test_table_says_what_exports_and_why_not(run, monkeypatch, tmp_path):
    monkeypatch.setattr(export_table, "WAYS", (export_table.WAYS[0], export_table.WAYS[3]))
    ran = run("export", "avslowfast_tiny", "--table", "--json", tmp_path / "t.json")
    assert ran.code == 0
    head, row, why = ran.out.splitlines()
    assert head.split() == ["family", "model", "torch-export", "onnx", "--int8"]
    family, model, error, no = row.split()
    assert (family, model, no) == ("AVSlowFast", "avslowfast_tiny", "no")
    assert float(error) < 1e-5
    assert why.startswith("AVSlowFast, onnx --int8: int8 is calibrated with clips alone, and avslowfast_tiny also takes audio")
    assert [cell["ok"] for cell in json.loads((tmp_path / "t.json").read_text())] == [True, False]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a model and a --format, or ask for the --table of what can be exported"),
        (("slow_tiny",), "name a model and a --format, or ask for the --table of what can be exported"),
        (("slow_tinny", "--format", "onnx"), "unknown model 'slow_tinny' (did you mean 'slow_tiny'?)"),
        (("slow_tiny", "--format", "tensorrt"), "there is no format 'tensorrt'"),
        (("slow_tiny", "--format", "torch-export", "--int8"), "int8 is made for onnx, not for torch-export"),
        (("slow_tiny", "--format", "onnx", "--calibrate", "x.mp4"), "--calibrate gives clips for --int8"),
        (("slow_tiny", "--format", "onnx", "--int8", "--calibrate", "x.mp4"), "there is no video at x.mp4"),
        (("slow_tiny", "--format", "onnx", "--out", "m.pt2"), "m.pt2 does not end in .onnx"),
        (("m.onnx", "--format", "onnx"), "m.onnx is exported already"),
        (("w.safetensors", "--format", "onnx"), "no weights file at w.safetensors"),
        (("nothing", "--table"), "the table has no 'nothing'"),
    ],
)
def test_one_sentence(run, words, message):
    assert sentence(run("export", *words)).startswith(message)


def test_one_sentence_for_a_folder_that_is_not_there(run, weights, tmp_path):
    ran = run("export", weights, "--format", "torch-export", "--out", tmp_path / "none" / "m.pt2")
    assert ran.code == 1
    assert ran.err == (
        f"vidmodels export: there is no folder {tmp_path / 'none'} to write m.pt2 to: make it, or choose another one\n"
    )


def test_one_sentence_for_a_calibration_video_without_frames(run, weights, tmp_path):
    bad, out = tmp_path / "bad.mp4", tmp_path / "m.onnx"
    bad.write_bytes(b"")
    ran = run("export", weights, "--format", "onnx", "--out", out, "--int8", "--calibrate", bad)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert str(bad) in ran.err
    assert not out.exists()


def test_explain_takes_no_exported_model(run, weights, video, tmp_path):
    file = tmp_path / "m.pt2"
    assert run("export", weights, "--format", "torch-export", "--out", file, "--rounds", 1).code == 0
    for command in ("explain", "features"):
        ran = run(command, file, video, *(("--out", tmp_path / "f.parquet") if command == "features" else ()))
        assert ran.code == 2
        assert len(ran.err.splitlines()) == 1
