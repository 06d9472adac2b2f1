"""Folders and lists of frames become videos with a frame rate, and frames that are missing are named."""

from __future__ import annotations

import itertools

import pytest

from tests.data.formats.files import frames, lay, picture, write
from tests.data.videos import number_of, numbered
from vidmodels.core.errors import DataError, MediaError, MediaLimitError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.check import check_paths
from vidmodels.data.formats import load_manifest
from vidmodels.data.frames import frame_paths, open_sample
from vidmodels.data.order import Order
from vidmodels.data.probe import Limits
from vidmodels.data.reader import TrainReader, ViewReader

HEADER = "original_vido_id video_id frame_id path labels\n"


def test_a_folder_for_each_video(tmp_path):
    frames(tmp_path / "a", 4)
    frames(tmp_path / "b", 6)
    manifest = load_manifest(str(tmp_path), fps=12.5)
    assert [(manifest.row(i).id, manifest.row(i).fps) for i in range(2)] == [("a", 12.5), ("b", 12.5)]
    assert manifest.classes is None
    assert all(size > 0 for size in manifest.table["bytes"].to_pylist())
    assert manifest.digest != load_manifest(str(tmp_path), fps=25).digest


def test_a_folder_for_each_class(tmp_path):
    for name in ("run/a", "run/b", "jump/a"):
        frames(tmp_path / name, 3)
    manifest = load_manifest(str(tmp_path), "frames", fps=24)
    assert manifest.classes == ("jump", "run")
    assert [(manifest.row(i).id, manifest.row(i).label) for i in range(3)] == [("jump/a", 0), ("run/a", 1), ("run/b", 1)]


def test_a_list_of_videos_that_are_folders(tmp_path):
    frames(tmp_path / "v/a", 3)
    manifest = load_manifest(write(tmp_path / "list.txt", "v/a run\nv/b jump\n"), fps=10)
    assert (manifest.row(0).uri, manifest.row(0).label, manifest.row(0).fps) == (f"{tmp_path}/v/a", 1, 10.0)
    assert manifest.missing == ("v/b",)


def test_what_is_no_tree_of_frames(tmp_path):
    frames(tmp_path / "t/a", 2)
    with pytest.raises(DataError, match=r"give data\.fps"):
        load_manifest(str(tmp_path / "t"), "frames")
    frames(tmp_path / "t/b/c", 2)
    with pytest.raises(DataError, match="frames at different depths"):
        load_manifest(str(tmp_path / "t"), "frames", fps=5)
    with pytest.raises(DataError, match=r"000001\.png lies outside of the folders"):
        load_manifest(str(tmp_path / "t/a"), "frames", fps=5)
    with pytest.raises(DataError, match="holds no picture"):
        load_manifest(lay(tmp_path / "u", "a/x.txt"), "frames", fps=5)


def test_a_list_of_frames_has_labels_by_time(tmp_path):
    frames(tmp_path / "rgb/A", 6)
    frames(tmp_path / "rgb/B", 2)
    lines = ['A 0 0 A/000001.png "3"', 'A 0 1 A/000002.png "3,1"', 'A 0 2 A/000003.png ""', 'A 0 3 A/000004.png "3"',
             'A 0 4 A/000005.png "3"', 'A 0 5 A/000006.png "3"', 'B 1 0 B/000001.png ""', 'B 1 1 B/000002.png ""',
             'C 2 0 C/000001.png "0"']  # fmt: skip
    path = write(tmp_path / "train.csv", HEADER + "\n".join(lines) + "\n")
    manifest = load_manifest(path, root=str(tmp_path / "rgb"), fps=2)
    assert (manifest.missing, manifest.classes) == (("C",), ("0", "1", "2", "3"))
    assert manifest.row(0).labels == (1, 3, 3)
    assert manifest.row(0).label_spans == ((0.5, 1.0), (0.0, 1.0), (1.5, 3.0))
    assert manifest.row(1).labels == ()
    charades = load_manifest(path, "charades", str(tmp_path / "rgb"))
    assert (charades.row(0).fps, len(charades.classes)) == (24.0, 157)
    with pytest.raises(DataError, match=r"give data\.fps \(24 for Charades, 30 for AVA\)"):
        load_manifest(path, root=str(tmp_path / "rgb"))
    with pytest.raises(DataError, match="the label 3 is not in the list of 2 classes"):
        load_manifest(path, root=str(tmp_path / "rgb"), fps=24, classes=("x", "y"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('A 0 2 A/000003.png ""', "row 3: frame 2 of A comes after frame 0: list all frames in order"),
        ('A 0 1 B/000002.png ""', "row 3: B/000002.png is not in the video's folder 'A'"),
        ('A 0 one A/000002.png ""', "row 3: 'A 0 one A/000002.png ' is not original_vido_id"),
        ('A 0 1 A/000002.png "run"', "row 3: the label 'run' is no number"),
        ("A 0", "row 3: 'A 0' is not"),
    ],
)
def test_bad_lists_of_frames(tmp_path, line, message):
    path = write(tmp_path / "train.csv", f'{HEADER}A 0 0 A/000001.png ""\n{line}\n')
    with pytest.raises(DataError, match=message) as found:
        load_manifest(path, fps=24)
    assert str(found.value).startswith(path)


def test_an_empty_list_of_frames(tmp_path):
    with pytest.raises(DataError, match="lists no video"):
        load_manifest(write(tmp_path / "train.csv", HEADER), fps=24)


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    for number in (9, 10, 11, 8):
        picture(tmp_path / f"img_{number}.jpg", numbered(number))
    assert [path.rsplit("_", 1)[1] for path in frame_paths(str(tmp_path))] == ["8.jpg", "9.jpg", "10.jpg", "11.jpg"]
    for number in (10, 20, 30):
        picture(tmp_path / f"each/{number}.png", numbered(number))
    assert len(frame_paths(str(tmp_path / "each"))) == 3  # every tenth frame is a row without gaps


def test_gaps_and_other_faults_of_a_folder(tmp_path):
    frames(tmp_path / "gap", 5)
    (tmp_path / "gap/000003.png").unlink()
    with pytest.raises(MediaError, match=r"gap has a gap: after 000002\.png comes 000004\.png"):
        frame_paths(str(tmp_path / "gap"))
    frames(tmp_path / "twice", 2)
    picture(tmp_path / "twice/b_1.png", numbered(1))
    with pytest.raises(MediaError, match="two frames of number 1"):
        frame_paths(str(tmp_path / "twice"))
    picture(tmp_path / "names/first.png", numbered(1))
    with pytest.raises(MediaError, match=r"first\.png has no number"):
        frame_paths(str(tmp_path / "names"))
    with pytest.raises(MediaError, match="holds no picture"):
        frame_paths(lay(tmp_path / "none", "a.txt"))
    with pytest.raises(MediaError, match="cannot list the folder"):
        frame_paths(str(tmp_path / "nowhere"))


def test_limits_hold_for_pictures(tmp_path):
    folder = frames(tmp_path / "v", 4)
    with pytest.raises(MediaLimitError, match="has 4 frames, and the limit is 3"):
        open_sample(folder, 10, Limits(frames=3))
    with (
        pytest.raises(MediaLimitError, match=r"frame 0 of .*000001\.png has 64 pixels wide, and the limit is 32"),
        open_sample(folder, 10, Limits(width=32)),
    ):
        pass
    with (
        open_sample(folder, 10, Limits(decoded_bytes=48 * 64 * 3)) as video,
        pytest.raises(MediaLimitError, match="over the limit"),
    ):
        video.read([0, 0.1])


def test_samples_are_read_as_of_a_video_with_the_same_frames(tmp_path):
    frames(tmp_path / "v/run/a", 12, size=(48, 48))
    manifest = load_manifest(str(tmp_path / "v"), "frames", fps=4)
    clip = ClipSection(num_frames=4, frame_stride=2, size=48, crop="center", repeats=2)
    reader = TrainReader((manifest,), Order([1], seed=0), clip, 0)
    row, apart = reader.read(0), reader.read(0, apart=True)
    assert row["error"] == apart["error"] == ""
    assert (row["clips"] == apart["clips"]).all()
    for one in row["clips"]:
        seen = [number_of(frame) for frame in one]
        assert [after - before for before, after in itertools.pairwise(seen)] == [2, 2, 2]
    view = ViewReader(manifest, clip.replace(repeats=1), num_clips=2).read(0)
    assert view["spans"].tolist() == [[0.0, 2.0], [1.25, 3.0]]
    assert view["facts"][:3].tolist() == [3.0, 4.0, 48.0]


def test_the_check_knows_frames(tmp_path):
    frames(tmp_path / "v/run/good", 8)
    frames(tmp_path / "v/run/copy", 8)
    frames(tmp_path / "v/jump/short", 2, size=(32, 32))
    frames(tmp_path / "v/jump/gap", 8)
    (tmp_path / "v/jump/gap/000004.png").unlink()
    frames(tmp_path / "v/jump/mixed", 8, size=(40, 40))
    picture(tmp_path / "v/jump/mixed/000005.png", numbered(4, 64, 64))
    manifest = load_manifest(str(tmp_path / "v"), fps=10)
    found = {(finding.kind, finding.id): finding.detail for finding in check_paths(manifest, num_frames=4, frame_stride=1)}
    assert set(found) == {
        ("short", "jump/short"),
        ("corrupt", "jump/gap"),
        ("mixed_size", "jump/mixed"),
        ("duplicate", "run/good"),
    }
    assert "40x40 and of 64x64" in found["mixed_size", "jump/mixed"]
    assert "000003.png comes 000005.png" in found["corrupt", "jump/gap"]
