"""EPIC-KITCHENS-100: CSV files of narrated actions, each a span of a video with the classes of its verb and its noun."""

from __future__ import annotations

from collections.abc import Callable

from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.formats.lists import Classes, Row, Source, Videos, beside, make_manifest, read_records, span
from vidmodels.data.manifest import SET_COLUMN, Manifest

COLUMNS = ("narration_id", "participant_id", "video_id", "start_timestamp", "stop_timestamp")
LABELS = ("verb", "noun", "action")
NUM_CLASSES = {"verb": 97, "noun": 300}
LISTS = ("EPIC_100_train.csv", "EPIC_100_validation.csv")

Pair = tuple[int, int]
Names = dict[str, tuple[str, ...]]


def read_epic_kitchens(source: Source) -> Manifest:
    """The actions of EPIC_100_train.csv ... with two label sets, or with one label, `source.label`: verb, noun or action.

    A plain list of classes without a label names the verbs. An action is a pair of verb and noun; its classes are those that
    are given, else the pairs of the training and validation lists that lie beside the file, so that both have the same. Names
    of verbs and nouns come from EPIC_100_verb_classes.csv and EPIC_100_noun_classes.csv where these lie there. Lists without
    classes are for tests. Raises DataError.
    """
    names = {part: _names(source.path, part) for part in NUM_CLASSES}
    label_of, classes = _reading(source, names)
    videos = Videos(source.base, source.fps)
    rows: list[Row] = []
    missing: list[str] = []
    for where, record in read_records(source.path, COLUMNS, "list of EPIC-KITCHENS"):
        start, end = span(where, record["start_timestamp"], record["stop_timestamp"], _clock)
        pair = _pair(where, record, names)
        video = record["video_id"]
        place = videos.find(f"{record['participant_id']}/videos/{video}.MP4", video, f"{record['participant_id']}/{video}")
        if place is None:
            missing.append(video)
            continue
        labels = {} if pair is None else label_of(pair, where)
        row = {"id": record["narration_id"], "uri": place.uri, "bytes": place.bytes, **labels}
        rows.append({**row, "start": start, "end": end})
    return make_manifest(source, rows, missing, classes)


def _reading(source: Source, names: Names) -> tuple[Callable[[Pair, str], Row], tuple[str, ...]]:
    """What gives the labels of a pair as columns, and the classes."""
    wanted = source.label
    if wanted not in (None, *LABELS):
        raise DataError(f"the label {wanted!r} is none of EPIC-KITCHENS': choose one of {', '.join(LABELS)}")
    if wanted is None and (source.classes is None or isinstance(source.classes, LabelSets)):
        sets = LabelSets(names)
        if source.classes not in (None, sets):
            raise DataError(f"{source.path}: the given label sets are not its verbs and nouns: choose data.label verb or noun")
        return (lambda pair, _: {f"{SET_COLUMN}{part}": label for part, label in zip(NUM_CLASSES, pair)}), sets
    if wanted == "action":
        found = [_action(pair, names) for pair in _pairs(source.path, names)] if source.classes is None else []
        classes = Classes(source.classes if source.classes is not None else found)
        return (lambda pair, where: {"label": classes.number(_action(pair, names), where)}), classes.names
    part = wanted or "verb"
    if source.classes is not None and len(source.classes) != len(names[part]):
        counts = f"{len(source.classes)} classes are given for {len(names[part])} {part}s"
        raise DataError(f"{source.path}: {counts}: give the list that has them all")
    return (lambda pair, _: {"label": pair[LABELS.index(part)]}), source.classes or names[part]


def _action(pair: Pair, names: Names) -> str:
    return f"{names['verb'][pair[0]]} {names['noun'][pair[1]]}"


def _pair(where: str, record: dict[str, str], names: Names) -> Pair | None:
    """Classes of verb and noun, or None in a list for tests."""
    if "verb_class" not in record or "noun_class" not in record:
        return None
    found = []
    for part in NUM_CLASSES:
        text = record[f"{part}_class"]
        if not (text.isascii() and text.isdigit()) or int(text) >= len(names[part]):
            raise DataError(f"{where}: {part}_class {text!r} is not in the list of {len(names[part])} {part}s: correct it")
        found.append(int(text))
    return found[0], found[1]


def _pairs(path: str, names: Names) -> list[Pair]:
    """The pairs of verb and noun in the file and in the published lists beside it."""
    pairs: set[Pair] = set()
    for file in dict.fromkeys((path, *filter(None, (beside(path, [name]) for name in LISTS)))):
        for where, record in read_records(file, COLUMNS, "list of EPIC-KITCHENS"):
            pair = _pair(where, record, names)
            if pair is not None:
                pairs.add(pair)
    return sorted(pairs)


def _names(path: str, part: str) -> tuple[str, ...]:
    """Names of verbs or nouns by their numbers; where their list is not there, the numbers."""
    file = beside(path, [f"EPIC_100_{part}_classes.csv"])
    if file is None:
        return tuple(f"{part} {number}" for number in range(NUM_CLASSES[part]))
    rows = [(record["id"], record["key"]) for _, record in read_records(file, ("id", "key"), f"list of {part}s")]
    if [number for number, _ in rows] != [str(number) for number in range(len(rows))]:
        raise DataError(f"{file}: the column id must count from 0: give the published list")
    return tuple(name for _, name in rows)


def _clock(text: str) -> float:
    """Seconds of "00:01:02.34". Raises ValueError."""
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
