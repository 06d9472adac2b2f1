"""EPIC-KITCHENS-100: spans of long videos, labelled by verb, noun or both."""

from __future__ import annotations

import pytest

from tests.data.formats.files import lay, write
from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.formats import load_manifest

HEADER = "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,narration,verb,verb_class,noun,noun_class\n"
TRAIN = (
    "P01_01_0,P01,P01_01,00:00:00.14,00:00:03.37,open door,open,3,door,3\n"
    "P01_01_1,P01,P01_01,01:02:04.37,01:02:06.17,turn on light,turn-on,6,light,114\n"
    "P02_07_0,P02,P02_07,00:00:01.00,00:00:02.00,x,open,3,light,114\n"
)
VAL = "P01_01_9,P01,P01_01,00:00:07.00,00:00:08.00,y,take,0,door,3\n"


@pytest.fixture
def lists(tmp_path):
    lay(tmp_path / "videos", "P01/videos/P01_01.MP4")
    write(tmp_path / "EPIC_100_train.csv", HEADER + TRAIN)
    write(tmp_path / "EPIC_100_validation.csv", HEADER + VAL)
    return tmp_path


def read(lists, name="train", **settings):
    return load_manifest(str(lists / f"EPIC_100_{name}.csv"), root=str(lists / "videos"), **settings)


def test_verbs_and_nouns_are_two_label_sets(lists):
    both = read(lists)
    assert isinstance(both.classes, LabelSets)
    assert {name: len(classes) for name, classes in both.label_sets.items()} == {"noun": 300, "verb": 97}
    assert [both.row(i).set_labels for i in range(2)] == [(3, 3), (114, 6)]
    assert [both.row(i).label for i in range(2)] == [None, None]
    assert read(lists, "validation", classes=both.classes).row(0).set_labels == (3, 0)
    assert read(lists, classes=tuple(f"v{number}" for number in range(97))).row(1).label == 6, "a list of verbs"
    with pytest.raises(DataError, match=r"the given label sets are not its verbs and nouns: choose data\.label"):
        read(lists, classes=LabelSets({"verb": ["take"]}))


def test_verbs_or_nouns(lists):
    verbs = read(lists, label="verb")
    rows = [verbs.row(i) for i in range(2)]
    assert [row.id for row in rows] == ["P01_01_0", "P01_01_1"]
    assert [(row.start, row.end) for row in rows] == [pytest.approx((0.14, 3.37)), pytest.approx((3724.37, 3726.17))]
    assert [row.label for row in rows] == [3, 6]
    assert (len(verbs.classes), verbs.missing) == (97, ("P02_07",))
    nouns = read(lists, label="noun")
    assert ([nouns.row(i).label for i in range(2)], len(nouns.classes)) == ([3, 114], 300)


def test_actions_have_the_classes_of_both_lists(lists):
    train, val = read(lists, label="action"), read(lists, "validation", label="action")
    assert train.classes == val.classes == ("verb 0 noun 3", "verb 3 noun 3", "verb 3 noun 114", "verb 6 noun 114")
    assert [train.row(i).label for i in range(2)] == [1, 3]
    assert val.row(0).label == 0
    (lists / "EPIC_100_validation.csv").unlink()
    assert len(read(lists, label="action").classes) == 3
    with pytest.raises(DataError, match="row 2: the label 'verb 3 noun 3' is not in the list of 1 classes"):
        read(lists, label="action", classes=("verb 6 noun 114",))


def test_names_come_from_the_lists_beside_it(lists):
    verbs = "".join(f"{number},{name},[]\n" for number, name in enumerate(["take", "put", "wash", "open", "a", "b", "turn-on"]))
    write(lists / "EPIC_100_verb_classes.csv", "id,key,instances\n" + verbs)
    assert read(lists, label="verb").classes[6] == "turn-on"
    assert read(lists).label_sets["verb"][6] == "turn-on"
    assert "open noun 114" in read(lists, label="action").classes
    write(lists / "EPIC_100_verb_classes.csv", "id,key\n0,take\n2,put\n")
    with pytest.raises(DataError, match="the column id must count from 0"):
        read(lists)


def test_a_list_for_tests_has_no_labels(lists):
    header = "narration_id,participant_id,video_id,start_timestamp,stop_timestamp\n"
    write(lists / "EPIC_100_test_timestamps.csv", header + "P01_01_5,P01,P01_01,00:00:01,00:00:02\n")
    assert read(lists, "test_timestamps").row(0).set_labels == (-1, -1)
    assert read(lists, "test_timestamps").lacking == {"noun": 1, "verb": 1}
    assert read(lists, "test_timestamps", label="verb").row(0).label is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,P01,P01_01,00:00,00:00:03,n,v,3,n,3", "row 2: start '00:00' is not a number"),
        ("a,P01,P01_01,00:00:05,00:00:03,n,v,3,n,3", "row 2: the span from 00:00:05 to 00:00:03 is empty"),
        ("a,P01,P01_01,00:00:01,00:00:03,n,v,97,n,3", "row 2: verb_class '97' is not in the list of 97 verbs"),
        ("a,P01,P01_01,00:00:01,00:00:03,n,v,3,n,x", "row 2: noun_class 'x' is not in the list of 300 nouns"),
        ("a,P01", "row 2: video_id is missing"),
    ],
)
def test_bad_rows(lists, row, message):
    write(lists / "EPIC_100_train.csv", f"{HEADER}{row}\n")
    with pytest.raises(DataError, match=message):
        read(lists)


def test_bad_settings(lists):
    with pytest.raises(DataError, match="the label 'adverb' is none of EPIC-KITCHENS': choose one of verb, noun, action"):
        read(lists, label="adverb")
    with pytest.raises(DataError, match="2 classes are given for 97 verbs"):
        read(lists, classes=("a", "b"))
    write(lists / "EPIC_100_train.csv", HEADER)
    with pytest.raises(DataError, match="lists no video"):
        read(lists)
