"""Label sets: names and places of the classes of several sets in one row."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import LabelSets, classes_of, name_of, num_classes_of, numbered_classes, parts_of, total_of

SETS = LabelSets({"verb": ("take", "cut"), "noun": ("cup", "knife", "pan")})


def test_sets_stand_in_the_order_of_their_names():
    assert tuple(SETS) == ("noun: cup", "noun: knife", "noun: pan", "verb: take", "verb: cut")
    assert SETS.columns == {"noun": slice(0, 3), "verb": slice(3, 5)}
    assert LabelSets({"noun": ["cup", "knife", "pan"], "verb": ["take", "cut"]}) == SETS
    assert num_classes_of(SETS) == {"noun": 3, "verb": 2}
    assert total_of(num_classes_of(SETS)) == len(SETS) == 5


def test_sets_go_to_other_processes():
    for other in (pickle.loads(pickle.dumps(SETS)), copy.deepcopy(SETS)):
        assert (other, other.sets) == (SETS, SETS.sets)


def test_files_that_keep_no_order_give_them_back():
    """As weights files say them: a sorted object with the sizes, and a list of names."""
    sizes = json.loads(json.dumps({"verb": 2, "noun": 3}, sort_keys=True))
    found = classes_of(json.loads(json.dumps(list(SETS))), sizes)
    assert isinstance(found, LabelSets)
    assert found.sets == SETS.sets
    assert classes_of(["cup", "knife", "pan", "take", "cut"], {"verb": 2, "noun": 3}) == SETS
    assert classes_of(["a", "b"], 2) == classes_of(["a", "b"], None) == ("a", "b")


def test_one_set_has_no_name():
    assert parts_of(("a", "b")) == {"": (slice(0, 2), ("a", "b"))}
    assert parts_of(SETS)["verb"] == (slice(3, 5), ("take", "cut"))
    assert numbered_classes(2) == ("class 0", "class 1")
    assert numbered_classes({"verb": 1, "noun": 1}) == ("noun: class 0", "verb: class 0")


def test_labels_in_words():
    assert (name_of(1, ("a", "b")), name_of(-1, ("a", "b"))) == ("b", "")
    assert (name_of((2, 0), SETS), name_of((-1, 1), SETS), name_of((-1, -1), SETS)) == ("pan, take", "cut", "")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LabelSets({"a.b": ["x"]}), "a label set cannot be called 'a.b': a name has letters, digits and '_'"),
        (lambda: LabelSets({"action": ["x"]}), "a label set cannot be called 'action', which is all sets together"),
        (lambda: LabelSets({"verb": []}), "the label set verb is empty or names a class twice"),
        (lambda: LabelSets({"verb": ["x", "x"]}), "the label set verb is empty or names a class twice"),
        (lambda: classes_of(["x"], {"verb": 2, "noun": 3}), r"1 class names do not fit .* \(3 of noun, 2 of verb\)"),
    ],
)
def test_bad_sets(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
