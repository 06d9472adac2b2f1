"""Charades: actions with their times, from the CSV and from lists of frames."""

from __future__ import annotations

import pytest

from tests.data.formats.files import frames, lay, write
from vidmodels.core.errors import DataError
from vidmodels.data.formats import load_manifest

HEADER = "id,subject,scene,script,actions,length\n"
ROWS = (
    '46GP8,HR43,Kitchen,"A person cooks, and eats.",c092 11.90 21.20;c147 0.00 12.60;c092 25.00 30.00,24.83\n'
    "N11GT,0KZ7,Stairs,nothing,,18.33\nGONE1,a,b,c,c001 0 1,9\n"
)


@pytest.fixture
def path(tmp_path):
    lay(tmp_path / "videos", "46GP8.mp4", "N11GT.mp4")
    return write(tmp_path / "Charades_v1_train.csv", HEADER + ROWS)


@pytest.mark.parametrize("format", ["auto", "charades"])
def test_actions_have_their_spans(path, tmp_path, format):
    manifest = load_manifest(path, format, str(tmp_path / "videos"))
    assert (len(manifest), manifest.missing, len(manifest.classes)) == (2, ("GONE1",), 157)
    assert manifest.multi_label
    row = manifest.row(0)
    assert row.labels == (92, 147, 92)
    assert row.label_spans == ((11.9, 21.2), (0.0, 12.6), (25.0, 30.0))
    assert (manifest.row(1).labels, manifest.row(1).label_spans) == ((), ())
    manifest.save(tmp_path / "m.parquet")
    again = load_manifest(str(tmp_path / "m.parquet"), multi_label=True)
    assert (again.digest, again.row(0)) == (manifest.digest, row)


def test_names_come_from_the_list_beside_it(path, tmp_path):
    lines = "".join(f"c{number:03d} Doing {number} things\n" for number in range(157))
    write(tmp_path / "Charades_v1_classes.txt", lines)
    assert load_manifest(path, root=str(tmp_path / "videos")).classes[92] == "Doing 92 things"


def test_frames_of_the_videos(path, tmp_path):
    frames(tmp_path / "rgb/46GP8", 5)
    manifest = load_manifest(path, root=str(tmp_path / "rgb"), fps=24)
    assert (manifest.row(0).uri, manifest.row(0).fps) == (f"{tmp_path}/rgb/46GP8", 24.0)
    assert manifest.missing == ("N11GT", "GONE1")


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ("c092 11.90", "row 2: the action 'c092 11.90' is no class, start and end"),
        ("c157 0 1", "row 2: the action 'c157' is not in the list of 157 classes"),
        ("c001 zero 1", "row 2: start 'zero' is not a number"),
        ("c001 0 nan", "row 2: end 'nan' is not a number"),
    ],
)
def test_bad_actions(tmp_path, path, actions, message):
    path = write(tmp_path / "bad.csv", f"{HEADER}46GP8,a,b,c,{actions},1\n")
    with pytest.raises(DataError, match=message):
        load_manifest(path, root=str(tmp_path / "videos"))


def test_lists_of_other_data_sets_are_named(tmp_path, path):
    other = write(tmp_path / "other.csv", "label,youtube_id,time_start,time_end,split\nx,a,0,1,train\n")
    with pytest.raises(DataError, match="is a list of kinetics_csv, not of charades"):
        load_manifest(other, "charades")
    with pytest.raises(DataError, match="is a list of charades, not of epic_kitchens"):
        load_manifest(path, "epic_kitchens")
    plain = write(tmp_path / "plain.csv", "a.mp4,1\n")
    with pytest.raises(DataError, match="is no list of Charades: its first line must name id, actions, and id is missing"):
        load_manifest(plain, "charades")
    short = write(tmp_path / "short.csv", "id,subject,actions\n46GP8\n")
    with pytest.raises(DataError, match="row 2: actions is missing"):
        load_manifest(short, "charades", str(tmp_path / "videos"))
    with pytest.raises(DataError, match="lists no video"):
        load_manifest(write(tmp_path / "empty.csv", HEADER), "charades")
