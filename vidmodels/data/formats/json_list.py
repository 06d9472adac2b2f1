"""Videos in JSON: a list of objects with a path, or an object that has the paths for keys, as PyTorchVideo reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from vidmodels.core.errors import ConfigError, DataError, did_you_mean
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, make_manifest, number, read_json, span
from vidmodels.data.manifest import SET_COLUMN, Manifest

KEYS = ("path", "label", "labels", "start", "end", "id")
_BENCHMARK = "forecasting_hands_objects"

Item = dict[str, Any]


def read_json_list(source: Source) -> Manifest:
    """Objects with the keys path and, where known, label or labels (names or numbers), start, end (seconds) and id.

    They lie in a list, on a line each (.jsonl), or as {path: object or list of objects}. Files of Ego4D's hands and objects
    are read too, with `source.label` verb (the default) or noun. Labels that are numbers need no names:
    classes are then called by them, from 0 to the largest. Labels that are objects, {"verb": "take", "noun": "cup"}, are of
    several label sets, of which `source.label` chooses one. Raises DataError.
    """
    items = list(_items(source, read_json(source.path)))
    if names := sorted({name for _, item in items if isinstance(item.get("labels"), dict) for name in item["labels"]}):
        if source.label is None:
            return _read_sets(source, items, names)
        items = [(where, _one_set(source, item, names)) for where, item in items]
    several = source.multi_label or any("labels" in item for _, item in items)
    labels = [_labels(where, item) for where, item in items]
    known = [label for each in labels for label in each]
    if not several and (where := next((where for (where, _), each in zip(items, labels) if len(each) > 1), None)):
        raise DataError(f"{where} has several labels: say so with data.multi_label")
    if source.multi_label and not known:
        raise DataError(f"{source.path} has no labels: give each object the key labels")
    numeric = bool(known) and all(isinstance(label, int) for label in known)
    classes = _classes(source.classes, known, numeric)
    videos = Videos(source.base, source.fps, pictures=True, exact=True)
    names = _ids(items)
    rows: list[Row] = []
    missing: list[str] = []
    for (where, item), each, name in zip(items, labels, names):
        place = videos.find(item["path"])
        numbers = sorted({_number(where, label, classes, numeric) for label in each})
        if place is None:
            missing.append(item["path"])
            continue
        row = {"id": name, "uri": place.uri, "bytes": place.bytes, **_times(where, item)}
        rows.append({**row, "labels": numbers} if several else {**row, "label": numbers[0] if numbers else None})
    return make_manifest(source, rows, missing, classes.names if known else source.classes)


def _read_sets(source: Source, items: list[tuple[str, Item]], names: list[str]) -> Manifest:
    """The manifest of objects whose labels say the label set of each; an object may lack some."""
    if source.multi_label:
        listed = ", ".join(names)
        raise DataError(f"{source.path} has the label sets {listed}: leave data.multi_label out or choose data.label")
    given = source.classes.sets if isinstance(source.classes, LabelSets) else {}
    if source.classes is not None and not given.keys() >= set(names):
        sets = f"the label sets {', '.join(names)}, and classes are given for {', '.join(given) or 'one without a name'}"
        raise DataError(f"{source.path} has {sets}: choose data.label, or leave data.classes out")
    classes, columns = {}, {}
    for name in given or names:
        numbers, columns[f"{SET_COLUMN}{name}"] = _numbered(source, items, name, given.get(name))
        classes[name] = numbers.names
    try:
        sets_of_classes = LabelSets(classes)
    except ConfigError as error:
        raise DataError(f"{source.path}: {error}") from error
    videos = Videos(source.base, source.fps, pictures=True, exact=True)
    rows: list[Row] = []
    missing: list[str] = []
    for index, ((where, item), name) in enumerate(zip(items, _ids(items))):
        if (place := videos.find(item["path"])) is None:
            missing.append(item["path"])
            continue
        row = {"id": name, "uri": place.uri, "bytes": place.bytes, **_times(where, item)}
        rows.append(row | {key: column[index] for key, column in columns.items()})
    return make_manifest(source, rows, missing, sets_of_classes)


def _numbered(
    source: Source, items: list[tuple[str, Item]], name: str, given: tuple[str, ...] | None
) -> tuple[Classes, list[int | None]]:
    """The classes of a label set, and the number of each object in it. Raises DataError."""
    labels = [_labels(where, _one_set(source, item, [name])) for where, item in items]
    if where := next((where for (where, _), each in zip(items, labels) if len(each) > 1), None):
        raise DataError(f"{where} has several labels of {name}: give one of each label set")
    known = [label for each in labels for label in each]
    numeric = bool(known) and all(isinstance(label, int) for label in known)
    classes = _classes(given, known, numeric)
    numbers = [_number(where, each[0], classes, numeric) if each else None for (where, _), each in zip(items, labels)]
    return classes, numbers


def _one_set(source: Source, item: Item, names: list[str]) -> Item:
    """An object with its label of one label set, `source.label` or the only one of `names`. Raises DataError."""
    wanted = source.label or names[0]
    if wanted not in names:
        near = did_you_mean(wanted, names)
        raise DataError(f"{source.path} has no label set {wanted!r}{near}: choose data.label of {', '.join(names)}")
    labels = item.get("labels", {})
    if not isinstance(labels, dict) or "label" in item:
        raise DataError(f"{source.path}: the labels of {item['path']} name no label set: write them as those of the others")
    return {**{key: value for key, value in item.items() if key != "labels"}, "label": labels.get(wanted)}


def _items(source: Source, tree: Any) -> Iterator[tuple[str, Item]]:
    """Each object with its path, and "FILE, item N" for errors."""
    if isinstance(tree, dict):
        pairs = [(path, part) for path, value in tree.items() for part in _parts(source, path, value)]
        objects: list[Any] = [{**part, "path": path} if isinstance(part, dict) else part for path, part in pairs]
    elif isinstance(tree, list):
        objects = tree
    else:
        raise DataError(f"{source.path} is no list of videos: give a list of objects with a path, or an object of paths")
    for count, item in enumerate(objects, 1):
        where = f"{source.path}, item {count}"
        if not isinstance(item, dict) or not isinstance(item.get("path"), str):
            raise DataError(f"{where}: {str(item)[:80]!r} has no path: each object needs the key path")
        if unknown := next((key for key in item if key not in KEYS), None):
            raise DataError(f"{where}: unknown key {unknown!r}{did_you_mean(unknown, KEYS)}: an object has {', '.join(KEYS)}")
        yield where, item


def _parts(source: Source, path: str, value: Any) -> list[Any]:
    """The objects of one video: one, several, or those of Ego4D's benchmark."""
    benchmarks = value.get("benchmarks") if isinstance(value, dict) else None
    if benchmarks is None:
        return value if isinstance(value, list) else [value]
    wanted = source.label or "verb"
    if wanted not in ("verb", "noun"):
        raise DataError(f"the label {wanted!r} is none of {source.path}: choose verb or noun")
    parts = []
    try:
        for moment in benchmarks[_BENCHMARK]:
            words = moment["taxonomy"]
            sure = not (words.get("verb_unsure") or words.get("noun_unsure"))
            if sure and words["verb"] is not None and words["noun"] is not None:
                times = (moment[f"critical_frame_selection_parent_{end}_sec"] for end in ("start", "end"))
                parts.append({"label": words[wanted], **dict(zip(("start", "end"), times))})
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{source.path}: the entry of {path} cannot be read ({error!r}): correct it") from error
    return parts


def _labels(where: str, item: Item) -> list[str | int]:
    given = item.get("labels", item.get("label"))
    labels = given if isinstance(given, list) else [] if given is None else [given]
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, str | int) or (isinstance(label, int) and label < 0):
            raise DataError(f"{where}: the label {label!r} is neither a name nor a number from 0: correct it")
    return labels


def _classes(given: tuple[str, ...] | None, known: list[str | int], numeric: bool) -> Classes:
    if numeric and given is None:
        return Classes([str(number) for number in range(max(map(int, known)) + 1)])
    return Classes(given, map(str, known))


def _number(where: str, label: str | int, classes: Classes, numeric: bool) -> int:
    if not numeric:
        return classes.number(str(label), where)
    if int(label) >= len(classes.names):
        raise DataError(f"{where}: the label {label} is not in the list of {len(classes.names)} classes: correct it")
    return int(label)


def _times(where: str, item: Item) -> Row:
    start, end = item.get("start"), item.get("end")
    if start is None and end is None:
        return {}
    if end is None:
        return {"start": number(where, "start", start)}
    return dict(zip(("start", "end"), span(where, 0 if start is None else start, end)))


def _ids(items: list[tuple[str, Item]]) -> list[str]:
    """The given ids, else the paths, with their times where a path comes several times."""
    counts = Counter(item["path"] for _, item in items)
    ids = []
    for _, item in items:
        path = item["path"]
        plain = path if counts[path] == 1 else f"{path}_{item.get('start')}_{item.get('end')}"
        ids.append(str(item.get("id", plain)))
    return ids
