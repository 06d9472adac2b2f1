"""The check names each trouble of a data set once, and nothing of a good one."""

from __future__ import annotations

import shutil

import numpy as np

from tests.data.videos import write
from vidmodels.data.check import check_paths
from vidmodels.data.manifest import Manifest


def test_each_trouble_is_found(tmp_path):
    for name in ("run/good", "run/first", "jump/other"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / f"{name}.mp4", 40, size=(32, 32) if name == "run/good" else (32, 48), gop=10 + len(name))
    shutil.copy(tmp_path / "run/first.mp4", tmp_path / "run/copy.mp4")
    shutil.copy(tmp_path / "run/first.mp4", tmp_path / "jump/copy.mp4")
    write(tmp_path / "run/short.mp4", 5)
    write(tmp_path / "run/turned.mp4", 40, rotation=90)
    write(tmp_path / "run/uneven.mp4", 40, stamps=np.cumsum([0, *([20, 90, 40] * 13)]).tolist())
    cut = write(tmp_path / "run/cut.mp4", 60, size=(96, 96), b_frames=0, options={"movflags": "faststart"})
    cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * 0.6)])
    (tmp_path / "run/text.mp4").write_text("hello\n" * 10)

    steps = []
    findings = check_paths(str(tmp_path), num_frames=8, frame_stride=4, progress=lambda i, n: steps.append((i, n)))
    assert steps[-1] == (10, 10)
    found = {(finding.kind, finding.id) for finding in findings}
    assert found == {
        ("short", "run/short.mp4"),
        ("rotated", "run/turned.mp4"),
        ("variable_rate", "run/uneven.mp4"),
        ("corrupt", "run/cut.mp4"),
        ("corrupt", "run/text.mp4"),
        ("duplicate", "run/copy.mp4"),
        ("duplicate", "run/first.mp4"),
        ("label_mismatch", "run/copy.mp4"),
        ("label_mismatch", "run/first.mp4"),
    }
    detail = next(f.detail for f in findings if f.kind == "label_mismatch")
    assert "labelled run" in detail
    assert "labelled jump" in detail

    quick = {(f.kind, f.id) for f in check_paths(str(tmp_path), num_frames=8, frame_stride=4, quick=True)}
    assert ("corrupt", "run/text.mp4") in quick
    assert ("short", "run/short.mp4") in quick
    assert not any(kind == "duplicate" for kind, _ in quick)


def test_missing_videos(tmp_path):
    write(tmp_path / "a.mp4", 30)
    rows = [{"id": "a", "uri": str(tmp_path / "a.mp4")}, {"id": "b", "uri": str(tmp_path / "b.mp4")}]
    findings = check_paths(Manifest.from_rows(rows, missing=("c.mp4",)), num_frames=4)
    assert {(f.kind, f.id) for f in findings} == {("missing", "b"), ("missing", "c.mp4")}
