"""UCF101's lists: classes by folder, numbers by classInd.txt."""

from __future__ import annotations

import pytest

from tests.data.formats.files import lay, write
from vidmodels.core.errors import DataError
from vidmodels.data.formats import load_manifest

CLASSES = "1 ApplyLipstick\n2 Archery\n3 Biking\n"


@pytest.fixture
def lists(tmp_path):
    lay(tmp_path / "UCF-101", "Archery/v_Archery_g01_c01.avi", "Biking/v_Biking_g01_c01.avi", "Biking/v_Biking_g09_c02.avi")
    write(tmp_path / "lists/classInd.txt", CLASSES)
    write(tmp_path / "lists/trainlist01.txt", "Archery/v_Archery_g01_c01.avi 2\nBiking/v_Biking_g09_c02.avi 3\n")
    write(tmp_path / "lists/testlist01.txt", "Biking/v_Biking_g01_c01.avi\r\nBiking/v_gone.avi\r\n")
    return tmp_path


@pytest.mark.parametrize("format", ["auto", "ucf101"])
def test_numbers_of_the_classes_are_those_of_their_list(lists, format):
    train = load_manifest(str(lists / "lists/trainlist01.txt"), format, str(lists / "UCF-101"))
    test = load_manifest(str(lists / "lists/testlist01.txt"), format, str(lists / "UCF-101"))
    assert train.classes == test.classes == ("ApplyLipstick", "Archery", "Biking")
    assert [train.row(i).label for i in range(2)] == [1, 2]  # the file counts from 1
    assert [test.row(i).label for i in range(len(test))] == [2]  # tests have no number
    assert train.row(0).uri == f"{lists}/UCF-101/Archery/v_Archery_g01_c01.avi"
    assert test.missing == ("Biking/v_gone.avi",)


def test_videos_without_their_class_folders_are_found(lists, tmp_path):
    root = lay(tmp_path / "flat", "v_Archery_g01_c01.mp4", "v_Biking_g09_c02.avi")
    train = load_manifest(str(lists / "lists/trainlist01.txt"), root=root)
    assert [train.row(i).uri for i in range(2)] == [f"{root}/v_Archery_g01_c01.mp4", f"{root}/v_Biking_g09_c02.avi"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Archery/v_Archery_g01_c01.avi 3", "row 2: Archery has the number 3, and 2 in classInd.txt"),
        ("Archerry/v_x.avi 2", r"row 2: the label 'Archerry' is not in the list of 3 classes \(did you mean 'Archery'"),
        ("v_x.avi 2", "row 2: 'v_x.avi 2' is no CLASS/VIDEO.avi"),
    ],
)
def test_bad_rows(lists, line, message):
    path = write(lists / "lists/trainlist02.txt", f"Biking/v_Biking_g09_c02.avi 3\n{line}\n")
    with pytest.raises(DataError, match=message) as found:
        load_manifest(path, "ucf101", str(lists / "UCF-101"))
    assert str(found.value).startswith(path)


def test_lists_that_cannot_be_read(lists):
    path = write(lists / "alone/trainlist01.txt", "Biking/v_Biking_g09_c02.avi 3\n")
    with pytest.raises(DataError, match=r"classInd\.txt is not beside"):
        load_manifest(path, "ucf101")
    names = write(lists / "names.txt", "Aikido\nArchery\nBiking\n")
    assert load_manifest(path, "ucf101", str(lists / "UCF-101"), classes=names).classes == ("Aikido", "Archery", "Biking")
    empty = write(lists / "lists/trainlist03.txt", "\n")
    with pytest.raises(DataError, match=r"trainlist03\.txt lists no video"):
        load_manifest(empty)
    with pytest.raises(DataError, match="none of the 2 videos"):
        load_manifest(str(lists / "lists/trainlist01.txt"), root=str(lists / "alone"))
    with pytest.raises(DataError, match=r"which has no setting split: leave data\.split out"):
        load_manifest(str(lists / "lists/trainlist01.txt"), split="train1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a\n3 b\n", "must count from 0 or 1"),
        ("1 a\n2 a\n", "names the class 'a' twice"),
        ("", "holds no class name"),
    ],
)
def test_bad_lists_of_classes(lists, text, message):
    write(lists / "lists/classInd.txt", text)
    with pytest.raises(DataError, match=message):
        load_manifest(str(lists / "lists/trainlist01.txt"))
