"""Pictures in folders of their classes are samples of one frame; with videos they do not mix."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.formats.files import lay, picture, write
from tests.data.videos import number_of, numbered
from vidmodels.core.errors import DataError, MediaError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.check import check_paths
from vidmodels.data.formats import load_manifest
from vidmodels.data.order import Order
from vidmodels.data.reader import TrainReader, ViewReader


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("n01440764/n01440764_10026.JPEG", "n01440764/n01440764_3.JPEG", "n01443537/x.png")):
        picture(tmp_path / name, numbered(number + 1, 64, 96))
    return str(tmp_path)


@pytest.mark.parametrize("format", ["auto", "images"])
def test_a_folder_for_each_class(folder, format):
    manifest = load_manifest(folder, format)
    assert manifest.classes == ("n01440764", "n01443537")
    assert [manifest.row(i).label for i in range(3)] == [0, 0, 1]
    assert manifest.pictures == 3
    clip = ClipSection(num_frames=1, frame_stride=1, size=64, crop="center")
    row = ViewReader(manifest, clip).read(2)
    assert row["clips"].shape == (1, 1, 64, 64, 3)
    train = TrainReader((manifest,), Order([3], seed=0), ClipSection(num_frames=1, size=64, repeats=2), 0).read(0)
    assert train["clips"].shape == (2, 1, 64, 64, 3)
    assert (train["error"], train["repeated"]) == ("", 0)


def test_colours_and_content(tmp_path):
    picture(tmp_path / "a/x.png", numbered(77, 64, 64))
    picture(tmp_path / "b/x.png", numbered(78, 64, 64))
    manifest = load_manifest(str(tmp_path))
    clip = ViewReader(manifest, ClipSection(num_frames=1, frame_stride=1, size=64)).read(0)["clips"][0, 0]
    assert number_of(clip) == 77
    np.testing.assert_array_equal(clip[0, -1], (220, 30, 30))


def test_a_list_of_pictures(folder):
    path = write_list(folder)
    manifest = load_manifest(path)
    assert [manifest.row(i).label for i in range(2)] == [0, 1]
    assert manifest.missing == ("gone.jpg",)


def write_list(folder):
    path = f"{folder}/val.txt"
    with open(path, "w") as file:
        file.write("n01440764/n01440764_3.JPEG 0\nn01443537/x.png 1\ngone.jpg 1\n")
    return path


def test_pictures_are_no_clips(folder):
    manifest = load_manifest(folder)
    message = "3 of the 3 samples are pictures, and the model takes 8 frames: .* say so with data.fps"
    with pytest.raises(DataError, match=message):
        ViewReader(manifest, ClipSection(num_frames=8))
    with pytest.raises(DataError, match=message):
        TrainReader((manifest,), Order([3], seed=0), ClipSection(num_frames=8), 0)


def test_wrong_folders(folder, tmp_path):
    lay(tmp_path, "n01443537/a.mp4")
    with pytest.raises(DataError, match=r"holds 3 pictures and 1 videos, such as n01443537/a\.mp4: keep one kind"):
        load_manifest(folder, "images")
    lay(tmp_path / "loose", "a/x.jpg", "y.jpg")
    with pytest.raises(DataError, match=r"y\.jpg lies outside of the folders of the classes"):
        load_manifest(str(tmp_path / "loose"))
    with pytest.raises(DataError, match="holds 1 files but no picture"):
        load_manifest(lay(tmp_path / "texts", "a/x.txt"), "images")
    with pytest.raises(DataError, match="the label 'a' is not in the list of 2 classes"):
        load_manifest(lay(tmp_path / "other", "a/x.jpg", "b/x.jpg"), classes=("b", "c"))


def test_damaged_pictures_are_rows_with_an_error_and_findings(folder, tmp_path):
    (tmp_path / "n01443537/x.png").write_bytes(b"no picture")
    manifest = load_manifest(folder)
    row = ViewReader(manifest, ClipSection(num_frames=1, size=64)).read(2)
    assert "x.png cannot be read as a picture" in row["error"]
    found = check_paths(manifest, num_frames=16)
    assert [(finding.kind, finding.id) for finding in found] == [("corrupt", "n01443537/x.png")]


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(tmp_path):
    from vidmodels.data.probe import UNTRUSTED, read_image

    picture(tmp_path / "wide.png", np.zeros((8, 5000, 3), np.uint8))
    assert read_image(str(tmp_path / "wide.png")).shape == (8, 5000, 3)
    with pytest.raises(MediaError, match=r"wide\.png has 5000 pixels wide, and the limit is 4096"):
        read_image(str(tmp_path / "wide.png"), UNTRUSTED)
    with pytest.raises(MediaError, match="cannot be read as a picture"):
        read_image(write(tmp_path / "text.png", "hello"))
