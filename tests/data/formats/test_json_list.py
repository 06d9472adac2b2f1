"""JSON lists of one's own and PyTorchVideo's."""

from __future__ import annotations

import pytest

from tests.data.formats.files import lay, write
from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.formats import load_manifest


@pytest.fixture
def root(tmp_path):
    return lay(tmp_path / "v", "a.mp4", "b/c.mp4", "d.jpg")


def rows(manifest):
    return [manifest.row(i) for i in range(len(manifest))]


def test_a_list_of_objects(tmp_path, root):
    items = [{"path": "a.mp4", "label": "run"}, {"path": "b/c.mp4", "label": "jump", "start": 1, "end": 2.5},
             {"path": f"{root}/d.jpg"}, {"path": "gone.mp4", "label": "run"}]  # fmt: skip
    manifest = load_manifest(write(tmp_path / "list.json", items), root=root)
    assert (manifest.classes, manifest.missing) == (("jump", "run"), ("gone.mp4",))
    assert [row.label for row in rows(manifest)] == [1, 0, None]
    assert (manifest.row(1).start, manifest.row(1).end, manifest.row(1).uri) == (1.0, 2.5, f"{root}/b/c.mp4")
    lines = "\n".join(['{"path": "a.mp4", "label": 4}', "", '{"path": "b/c.mp4", "label": 0, "start": 3, "id": "x"}'])
    numbered = load_manifest(write(tmp_path / "list.jsonl", lines), "json", root)
    assert (numbered.classes, [row.label for row in rows(numbered)]) == (("0", "1", "2", "3", "4"), [4, 0])
    assert (numbered.row(1).id, numbered.row(1).start, numbered.row(1).end) == ("x", 3.0, None)


def test_an_object_of_paths(tmp_path, root):
    tree = {"a.mp4": {}, "b/c.mp4": {}}
    assert [row.id for row in rows(load_manifest(write(tmp_path / "a.json", tree), root=root))] == ["a.mp4", "b/c.mp4"]
    spans = {"a.mp4": [{"label": "run", "start": 0, "end": 1}, {"label": "run", "start": 1, "end": 2}]}
    manifest = load_manifest(write(tmp_path / "b.json", spans), root=root)
    assert [row.id for row in rows(manifest)] == ["a.mp4_0_1", "a.mp4_1_2"]


def test_several_labels(tmp_path, root):
    items = [{"path": "a.mp4", "labels": ["run", "jump", "run"]}, {"path": "b/c.mp4", "labels": []}]
    manifest = load_manifest(write(tmp_path / "list.json", items), root=root)
    assert [row.labels for row in rows(manifest)] == [(0, 1), ()]
    assert manifest.multi_label


def test_hands_and_objects(tmp_path, root):
    def moment(verb, noun, start, **more):
        return {"critical_frame_selection_parent_start_sec": start, "critical_frame_selection_parent_end_sec": start + 8,
                "taxonomy": {"verb": verb, "noun": noun, "verb_unsure": False, "noun_unsure": False, **more}}  # fmt: skip

    moments = [
        moment("cut", "onion", 3),
        moment("put", "knife", 20),
        moment("x", "y", 1, noun_unsure=True),
        moment(None, "y", 1),
    ]
    tree = {"a.mp4": {"benchmarks": {"forecasting_hands_objects": moments}}}
    path = write(tmp_path / "f.json", tree)
    verbs, nouns = load_manifest(path, root=root), load_manifest(path, root=root, label="noun")
    assert (verbs.classes, nouns.classes) == (("cut", "put"), ("knife", "onion"))
    assert [(row.label, row.start, row.end) for row in rows(nouns)] == [(1, 3.0, 11.0), (0, 20.0, 28.0)]
    with pytest.raises(DataError, match="the label 'adverb' is none of"):
        load_manifest(path, root=root, label="adverb")
    with pytest.raises(DataError, match=r"the entry of a\.mp4 cannot be read"):
        load_manifest(write(tmp_path / "g.json", {"a.mp4": {"benchmarks": {}}}), root=root)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([{"path": "a.mp4"}, {"pth": "x"}], "item 2: .* has no path"),
        ([{"path": "a.mp4", "lable": "x"}], "item 1: unknown key 'lable' .did you mean 'label'"),
        ([{"path": "a.mp4", "label": -1}], "item 1: the label -1 is neither a name nor a number from 0"),
        ([{"path": "a.mp4", "label": True}], "item 1: the label True is neither"),
        ([{"path": "a.mp4", "label": ["x", "y"]}], "item 1 has several labels: say so with data.multi_label"),
        ([{"path": "a.mp4", "start": 3, "end": 2}], "item 1: the span from 3 to 2 is empty"),
        ([{"path": "a.mp4", "start": "x"}], "item 1: start 'x' is not a number"),
        ([{"path": "a.mp4"}, {"path": "a.mp4"}], "1 ids come twice"),
        ([], "lists no video"),
        (3, "is no list of videos"),
        ("{", "this is not JSON"),
        ([{"path": "gone.mp4"}], "none of the 1 videos"),
    ],
)
def test_bad_lists(tmp_path, root, tree, message):
    path = write(tmp_path / "list.json", tree)
    with pytest.raises(DataError, match=message) as found:
        load_manifest(path, "json", root)
    assert "\n" not in str(found.value)
    assert path in str(found.value)


def test_labels_outside_of_the_given_classes(tmp_path, root):
    path = write(tmp_path / "list.json", [{"path": "a.mp4", "label": "swim"}])
    with pytest.raises(DataError, match="item 1: the label 'swim' is not in the list of 2 classes"):
        load_manifest(path, root=root, classes=("run", "jump"))
    path = write(tmp_path / "numbers.json", [{"path": "a.mp4", "label": 2}])
    with pytest.raises(DataError, match="item 1: the label 2 is not in the list of 2 classes"):
        load_manifest(path, root=root, classes=("run", "jump"))
    with pytest.raises(DataError, match="has no labels"):
        load_manifest(write(tmp_path / "none.json", [{"path": "a.mp4"}]), root=root, multi_label=True)


SETS = [
    {"path": "a.mp4", "labels": {"verb": "take", "noun": 1}},
    {"path": "b/c.mp4", "labels": {"verb": "cut"}},
    {"path": "d.jpg"},
]


def test_label_sets(tmp_path, root):
    manifest = load_manifest(write(tmp_path / "list.json", SETS), root=root)
    assert manifest.label_sets == {"noun": ("0", "1"), "verb": ("cut", "take")}
    assert [row.set_labels for row in rows(manifest)] == [(1, 1), (-1, 0), (-1, -1)]
    assert manifest.lacking == {"noun": 2, "verb": 1}
    verbs = load_manifest(str(tmp_path / "list.json"), root=root, label="verb")
    assert (verbs.classes, [row.label for row in rows(verbs)]) == (("cut", "take"), [1, 0, None])
    other = [{"path": "a.mp4", "labels": {"verb": "take", "noun": 0}}]
    val = load_manifest(write(tmp_path / "val.json", other), root=root, classes=manifest.classes)
    assert (val.classes, val.row(0).set_labels) == (manifest.classes, (0, 1))


@pytest.mark.parametrize(
    ("items", "settings", "message"),
    [
        (SETS, {"label": "noum"}, r"has no label set 'noum' \(did you mean 'noun'\?\): choose data.label of noun, verb"),
        (SETS, {"multi_label": True}, "has the label sets noun, verb: leave data.multi_label out or choose data.label"),
        (
            SETS,
            {"classes": ("a", "b")},
            "the label sets noun, verb, and classes are given for one without a name: choose",
        ),
        (
            [*SETS, {"path": "a.mp4", "labels": ["x"]}],
            {},
            r"the labels of a.mp4 name no label set: write them as those of",
        ),
        (
            [{"path": "a.mp4", "labels": {"verb": ["x", "y"]}}],
            {},
            "item 1 has several labels of verb: give one of each",
        ),
        ([{"path": "a.mp4", "labels": {"a-b": "x"}}], {}, "a label set cannot be called 'a-b'"),
    ],
)
def test_bad_label_sets(tmp_path, root, items, settings, message):
    with pytest.raises(DataError, match=message):
        load_manifest(write(tmp_path / "list.json", items), root=root, **settings)


def test_a_class_that_a_label_set_does_not_have(tmp_path, root):
    given = LabelSets({"verb": ("cut", "wash"), "noun": ("0", "1")})
    with pytest.raises(DataError, match="item 1: the label 'take' is not in the list of 2 classes"):
        load_manifest(write(tmp_path / "list.json", SETS), root=root, classes=given)
