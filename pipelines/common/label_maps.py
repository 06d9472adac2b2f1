"""From the labels of evaluated videos to the numbers that a model has for its classes, by the names of the classes.

V videos, S label sets, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.manifest import Manifest

LabelMaps = dict[str, dict[int, int]]
"""By label set of the data ('': the one without a name) the model's number for each label."""


def for_model(manifest: Manifest, classes: tuple[str, ...]) -> Manifest:
    """The data as they are, or with one of their label sets where the model has one: that whose classes the model knows.

    Raises DataError where there is not exactly one such set.
    """
    if not manifest.label_sets or isinstance(classes, LabelSets):
        return manifest
    known = [name for name, names in manifest.label_sets.items() if set(names) <= set(classes)]
    if len(known) != 1:
        sets = ", ".join(manifest.label_sets)
        raise DataError(
            f"the data have the label sets {sets}, and the model has one: choose the one to evaluate with data.label"
        )
    return manifest.only(known[0])


def label_maps(manifest: Manifest, classes: tuple[str, ...], label: str | None = None) -> LabelMaps:
    """How labels of the data become labels of the model. Raises DataError for sets and classes that the model does not know.

    label: the name of the data's label set, where they come with one of the model's sets only.
    """
    if manifest.classes is None:
        raise DataError(
            "the videos have no labels: give a folder with one folder per class (--data.format classes where it has one "
            "class only), or a list with labels"
        )
    if not isinstance(classes, LabelSets):
        return {"": _numbers(manifest.classes, classes)}
    given = manifest.label_sets or {label or "": manifest.classes}
    if unknown := next((name for name in given if name not in classes.sets), None):
        raise DataError(f"the model has no label set {unknown!r}, which the data have: it has {', '.join(classes.sets)}")
    if "" in given:
        raise DataError(
            f"the data have one set of labels, the model {', '.join(classes.sets)}: say which it is with data.label"
        )
    return {name: _numbers(names, classes.sets[name]) for name, names in given.items()}


def labels_for_model(rows: Sequence[dict[str, Any]], maps: LabelMaps, classes: tuple[str, ...]) -> np.ndarray:
    """Labels of the rows of `score_videos` in the model's numbers: int64 [V], or [V, S] of several sets; or flags [V, K]."""
    if "targets" in rows[0]:
        flags = np.zeros((len(rows), len(classes)), np.uint8)
        for number, own in maps[""].items():
            flags[:, own] = [row["targets"][number] for row in rows]
        return flags
    given = np.array([row["label"] for row in rows], np.int64).reshape(len(rows), -1)
    columns = {
        name: np.array([numbers.get(label, -1) for label in column], np.int64)
        for (name, numbers), column in zip(maps.items(), given.T.tolist())
    }
    if not isinstance(classes, LabelSets):
        return columns[""]
    absent = np.full(len(rows), -1)  # of a label set that the data lack
    return np.stack([columns.get(name, absent) for name in classes.sets], axis=1)


def _numbers(names: tuple[str, ...], classes: tuple[str, ...]) -> dict[int, int]:
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise DataError(
            f"the model does not know {len(unknown)} of the {len(names)} classes of the data, the first is "
            f"{unknown[0]!r}; it knows {', '.join(classes[:5])}{' ...' if len(classes) > 5 else ''}"
        )
    return {number: classes.index(name) for number, name in enumerate(names)}
