"""Ego4D moments: labelled windows of clips and of whole videos."""

from __future__ import annotations

import copy

import pytest

from tests.data.formats.files import lay, write
from vidmodels.core.errors import DataError
from vidmodels.data.formats import load_manifest


def label(name, start, end, offset=100.0, **more):
    return {"label": name, "start_time": start, "end_time": end, "video_start_time": start + offset,
            "video_end_time": end + offset, **more}  # fmt: skip


TREE = {
    "version": "1.0",
    "videos": [
        {
            "video_uid": "vid-1",
            "split": "train",
            "clips": [
                {
                    "clip_uid": "clip-1",
                    "video_start_sec": 100.0,
                    "video_end_sec": 580.0,
                    "annotations": [
                        {"labels": [label("use_phone", 10.0, 22.5, primary=True), label("talk", 10.0, 22.5, primary=True),
                                    label("odd", 1, 2, primary=False), label("talk", 30, 30)]},
                        {"labels": [label("use_phone", 10.0, 22.5)]},
                    ],
                }
            ],
        },
        {"video_uid": "vid-2", "split": "val",
         "clips": [{"clip_uid": "clip-2", "annotations": [{"labels": [label("talk", 0.5, 4)]}]}]},
    ],
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "moments_train.json", TREE)


@pytest.mark.parametrize("format", ["auto", "ego4d_moments"])
def test_one_label_for_each_window(tmp_path, path, format):
    root = lay(tmp_path / "full", "vid-1.mp4")
    manifest = load_manifest(path, format, root)
    assert (manifest.classes, manifest.missing) == (("talk", "use_phone"), ("vid-2",))
    rows = [manifest.row(i) for i in range(len(manifest))]
    assert [(row.label, row.start, row.end) for row in rows] == [(1, 110.0, 122.5), (0, 110.0, 122.5)]


def test_all_labels_of_a_window(tmp_path, path):
    root = lay(tmp_path / "full", "vid-1.mp4", "vid-2.mp4")
    manifest = load_manifest(path, root=root, multi_label=True)
    assert [manifest.row(i).labels for i in range(2)] == [(0, 1), (0,)]
    assert len(load_manifest(path, root=root, multi_label=True, split="val")) == 1


def test_clips_stand_for_videos(tmp_path, path):
    manifest = load_manifest(path, root=lay(tmp_path / "clips", "clip-2.mp4"))
    assert (manifest.row(0).start, manifest.row(0).end) == (0.5, 4.0)


def test_bad_files(tmp_path, path):
    root = lay(tmp_path / "full", "vid-1.mp4")
    with pytest.raises(DataError, match="no labelled window in the split 'test'"):
        load_manifest(path, root=root, split="test")
    with pytest.raises(DataError, match="label 1 of clip clip-1: the label 'use_phone' is not in the list of 1 classes"):
        load_manifest(path, root=root, classes=("talk",))
    with pytest.raises(DataError, match="is no list of Ego4D moments"):
        load_manifest(write(tmp_path / "other.json", {"videos": [1]}), "ego4d_moments", root)
    broken = copy.deepcopy(TREE)
    broken["videos"][0]["clips"][0]["annotations"][0]["labels"][0]["end_time"] = 3
    with pytest.raises(DataError, match=r"label 1 of clip clip-1: the span from 10\.0 to 3 is empty"):
        load_manifest(write(tmp_path / "span.json", broken), root=root)
    del broken["videos"][0]["clips"][0]["annotations"][0]["labels"][0]["end_time"]
    with pytest.raises(DataError, match="the entry of video 'vid-1' cannot be read"):
        load_manifest(write(tmp_path / "key.json", broken), root=root)
