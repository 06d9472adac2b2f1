"""Something-Something v2: JSON lists of ids and templates "Holding [something]", with the list of labels beside them."""

from __future__ import annotations

from typing import Any

from vidmodels.core.errors import DataError
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, beside, make_manifest, read_class_names, read_json
from vidmodels.data.manifest import Manifest

LABEL_LISTS = ("labels.json", "something-something-v2-labels.json")


def is_ssv2(tree: Any) -> bool:
    """Whether JSON is a list of the data set: items with an id, and a template unless they are for tests."""
    if not isinstance(tree, list) or not tree or not isinstance(tree[0], dict):
        return False
    return "id" in tree[0] and ("template" in tree[0] or set(tree[0]) == {"id"})


def read_ssv2(source: Source) -> Manifest:
    """The videos of train.json, validation.json or test.json (without labels): files ID.webm, or folders of frames.

    A class is a template without its brackets. Raises DataError.
    """
    tree = read_json(source.path)
    if not isinstance(tree, list):
        raise DataError(f"{source.path} is no list of Something-Something v2: give train.json, validation.json or test.json")
    if not tree:
        raise DataError(f"{source.path} lists no video: give a list with at least one")
    classes, videos = Classes(_class_names(source)), Videos(source.base, source.fps)
    rows: list[Row] = []
    missing: list[str] = []
    for count, item in enumerate(tree, 1):
        where = f"{source.path}, item {count}"
        if not isinstance(item, dict) or not isinstance(item.get("id"), str | int):
            raise DataError(f"{where}: {str(item)[:80]!r} has no id: each item needs an id and a template")
        name, template = str(item["id"]), item.get("template")
        if template is not None and not isinstance(template, str):
            raise DataError(f"{where}: the template {template!r} is no text: correct it")
        label = None if template is None else classes.number(_plain(template), where)
        place = videos.find(f"{name}.webm", name)
        if place is None:
            missing.append(name)
        else:
            rows.append({"id": name, "uri": place.uri, "bytes": place.bytes, "label": label})
    return make_manifest(source, rows, missing, classes.names)


def _class_names(source: Source) -> tuple[str, ...]:
    if source.classes is not None:
        return source.classes
    found = beside(source.path, LABEL_LISTS)
    if found is None:
        raise DataError(f"{LABEL_LISTS[0]} is not beside {source.path}: put it there, or name such a list (data.classes)")
    return tuple(map(_plain, read_class_names(found)))


def _plain(template: str) -> str:
    return template.replace("[", "").replace("]", "")
