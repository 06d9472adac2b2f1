"""Something-Something v2: templates as classes, videos by id, tests without labels."""

from __future__ import annotations

import pytest

from tests.data.formats.files import frames, lay, write
from vidmodels.core.errors import DataError
from vidmodels.data.formats import load_manifest

LABELS = {"Holding something": "1", "Approaching something with your camera": "0"}
TRAIN = [
    {"id": "78687", "label": "holding potato", "template": "Holding [something]", "placeholders": ["potato"]},
    {"id": "42", "label": "x", "template": "Approaching [something] with your camera", "placeholders": ["x"]},
    {"id": "7", "label": "holding it", "template": "Holding [something]", "placeholders": ["it"]},
]


@pytest.fixture
def videos(tmp_path):
    return lay(tmp_path / "videos", "78687.webm", "42.webm")


@pytest.mark.parametrize("name", ["labels.json", "something-something-v2-labels.json"])
def test_templates_are_classes(tmp_path, videos, name):
    write(tmp_path / name, LABELS)
    for format in ("auto", "ssv2"):
        manifest = load_manifest(write(tmp_path / "train.json", TRAIN), format, videos)
        assert manifest.classes == ("Approaching something with your camera", "Holding something")
        assert [(manifest.row(i).id, manifest.row(i).label) for i in range(2)] == [("78687", 1), ("42", 0)]
        assert manifest.missing == ("7",)
        assert manifest.row(0).uri == f"{videos}/78687.webm"


def test_tests_have_no_labels_and_frames_may_stand_for_a_video(tmp_path, videos):
    write(tmp_path / "labels.json", LABELS)
    test = load_manifest(write(tmp_path / "test.json", [{"id": "42"}, {"id": "78687"}]), root=videos)
    assert [test.row(i).label for i in range(2)] == [None, None]
    frames(tmp_path / "frames/42", 3)
    manifest = load_manifest(str(tmp_path / "test.json"), root=str(tmp_path / "frames"), fps=12)
    assert (manifest.row(0).uri, manifest.row(0).fps, manifest.missing) == (f"{tmp_path}/frames/42", 12.0, ("78687",))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([TRAIN[0], {"template": "x"}], "item 2: .* has no id"),
        (
            [{"id": "42", "template": "Holdin [something]"}],
            "item 1: the label 'Holdin something' is not in the list of 2 classes",
        ),
        ([{"id": "42", "template": 3}], "item 1: the template 3 is no text"),
        ([], "lists no video"),
        ({"a": 1}, "is no list of Something-Something v2"),
        ("[{", "this is not JSON"),
    ],
)
def test_bad_lists(tmp_path, videos, items, message):
    write(tmp_path / "labels.json", LABELS)
    path = write(tmp_path / "train.json", items)
    with pytest.raises(DataError, match=message) as found:
        load_manifest(path, "ssv2", videos)
    assert str(found.value).startswith(path)


def test_without_the_list_of_labels(tmp_path, videos):
    path = write(tmp_path / "train.json", TRAIN)
    with pytest.raises(DataError, match=r"labels\.json is not beside"):
        load_manifest(path, root=videos)
    with pytest.raises(DataError, match="the class 'a' has the number 'one'"):
        load_manifest(path, root=videos, classes=write(tmp_path / "own.json", {"a": "one"}))
