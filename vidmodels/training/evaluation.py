"""Multi-view evaluation of classifiers: one row of scores from the views of each video, each video exactly once.

V videos, M views of each (clips x crops), T frames, S side (of labels: label sets), K classes (of all label sets).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.inference.portions import portions
from vidmodels.metrics.classification import (
    ClassRow,
    LabelRow,
    action_ranks,
    confusion_matrix,
    mean_average_precision,
    per_class_table,
    per_label_table,
    topk_accuracy,
)
from vidmodels.metrics.slices import SliceRow, slice_tables
from vidmodels.tasks.classify import combine_views, scores_of
from vidmodels.tasks.hearing import sound_of_views
from vidmodels.training.precision import autocast_for


@dataclass
class Scores:
    """Scores of the decoded videos.

    scores: float32 [V, K]; labels: int64 [V] (-1: none), [V, S] of label sets, or flags [V, K] where videos have several;
    errors: {id: why} of the rest; facts: float64 [V, F], what `vidmodels.metrics.slices.FACTS` names of each video; silent:
    videos without sound, where the model hears.
    """

    ids: list[str]
    scores: np.ndarray
    labels: np.ndarray
    errors: dict[str, str] = field(default_factory=dict)
    facts: np.ndarray | None = None
    silent: list[str] | None = None


@dataclass
class Evaluation:
    """What a classifier reaches.

    metrics: top1 and top5, or map where videos have several labels; videos; undecoded; where the model hears also
    without_sound, videos of which it heard nothing. confusion: [K, K], None with several labels. per_class: one row per
    class. slices: accuracy by length, frame rate ... of the videos. sets: of label sets what is reached in each, by its name;
    their metrics are here too, as NAME_top1 ..., with what `summarise_sets` adds.
    """

    metrics: dict[str, float]
    confusion: np.ndarray | None
    per_class: list[ClassRow] | list[LabelRow]
    errors: dict[str, str]
    slices: list[SliceRow] = field(default_factory=list)
    sets: dict[str, Evaluation] = field(default_factory=dict)


@torch.no_grad()
def score_views(
    model: nn.Module,
    columns: dict[str, Any],
    spec: InputSpec,
    batch_size: int = 16,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    combine: str = "mean",
) -> Scores:
    """Scores of the videos in `columns` (clips uint8 [V, M, T, S, S, 3], id, label, error), `batch_size` views at a time.

    A model that hears is given the columns of the sound. combine: how the views of a video become one row, mean or max.
    """
    good = [i for i, error in enumerate(columns["error"]) if not error]
    errors = {str(i): str(e) for i, e in zip(columns["id"], columns["error"]) if e}
    model.eval()
    rows, silent = [], []
    for i in good:
        views = torch.from_numpy(np.array(columns["clips"][i]))
        heard = () if spec.audio is None else sound_of_views(columns, i, spec.audio, device)
        if heard and not heard.has_audio.any():
            silent.append(str(columns["id"][i]))
        each = []
        for inputs in portions(views, spec, batch_size, device, heard):
            with autocast_for(device, precision, model):
                logits = model(*inputs)
            each.append(scores_of(model, logits))
        rows.append(combine_views(torch.cat(each), combine).cpu().numpy())
    scores = np.stack(rows) if rows else np.zeros((0, 0), np.float32)
    labels = np.asarray(columns["targets" if "targets" in columns else "label"])[good]
    facts = np.asarray(columns["facts"])[good] if "facts" in columns else None
    ids = [str(columns["id"][i]) for i in good]
    return Scores(ids, scores, labels, errors, facts, None if spec.audio is None else silent)


def join_scores(parts: Iterable[Scores]) -> Scores:
    """Parts from any number of workers as one, ordered by id. Raises DataError where an id comes twice."""
    found = list(parts)
    ids = [i for part in found for i in part.ids]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise DataError(f"the video {twice!r} was evaluated twice: the ids of the data set are not unique")
    full = [part for part in found if len(part.ids)]
    silent = [i for part in full for i in part.silent or ()] if any(part.silent is not None for part in full) else None
    errors = {key: why for part in found for key, why in part.errors.items()}
    if not full:
        return Scores([], np.zeros((0, 0), np.float32), np.zeros(0, np.int64), errors)
    order = np.argsort(ids, kind="stable")
    scores = np.concatenate([part.scores for part in full])[order]
    labels = np.concatenate([part.labels for part in full])[order]
    facts = [part.facts for part in full if part.facts is not None]
    return Scores([ids[i] for i in order], scores, labels, errors, np.concatenate(facts)[order] if facts else None, silent)


def summarise(scores: Scores, classes: tuple[str, ...]) -> Evaluation:
    """Accuracy, confusion, and tables by class and slice. Raises DataError where no video with a label could be decoded."""
    if isinstance(classes, LabelSets):
        return summarise_sets(scores, classes)
    several = scores.labels.ndim == 2
    known = scores.labels.any(1) if several else scores.labels >= 0
    _check_some(bool(known.any()), scores.errors)
    values, labels = scores.scores[known], scores.labels[known]
    counts = {"videos": float(known.sum()), "undecoded": float(len(scores.errors))}
    if scores.silent is not None:
        counts["without_sound"] = float(len(scores.silent))
    if several:
        mean, each = mean_average_precision(values, labels)
        return Evaluation({"map": mean, **counts}, None, per_label_table(labels, each, classes), scores.errors)
    top = topk_accuracy(values, labels, (1, min(5, values.shape[1])))
    confusion = confusion_matrix(values.argmax(1), labels, len(classes))
    slices = [] if scores.facts is None else slice_tables(scores.facts[known], values.argmax(1) == labels)
    return Evaluation({**top, **counts}, confusion, per_class_table(confusion, classes), scores.errors, slices)


def summarise_sets(scores: Scores, classes: LabelSets) -> Evaluation:
    """What is reached in each label set, and in all at once. Raises DataError as `summarise`.

    The metrics of a set begin with its name; without_NAME: decoded videos that have no label of it. action_top1, action_top5:
    of the videos that have all labels, where an action is a class of each set and its score the product of theirs; slices are
    of action_top1. A set of which no video has a label is left out, and so are actions where no video has all labels.
    """
    sets: dict[str, Evaluation] = {}
    counts = {"videos": float(len(scores.ids)), "undecoded": float(len(scores.errors))}
    if scores.silent is not None:
        counts["without_sound"] = float(len(scores.silent))
    metrics: dict[str, float] = {}
    labels = scores.labels.reshape(-1, len(classes.sets))  # empty parts have one dimension
    for number, (name, place) in enumerate(classes.columns.items()):
        if missing := int((labels[:, number] < 0).sum()):
            counts[f"without_{name}"] = float(missing)
        if missing < len(labels):
            part = Scores(scores.ids, scores.scores[:, place], labels[:, number], scores.errors)
            sets[name] = summarise(part, classes.sets[name])
            metrics |= {f"{name}_{key}": value for key, value in sets[name].metrics.items() if key.startswith("top")}
    _check_some(bool((labels >= 0).any()), scores.errors)
    whole = (labels >= 0).all(1)
    slices: list[SliceRow] = []
    if whole.any():
        each = [scores.scores[whole][:, place] for place in classes.columns.values()]
        ranks = action_ranks(each, labels[whole])
        metrics |= {f"action_top{k}": float((ranks < k).mean()) for k in (1, 5)}
        slices = [] if scores.facts is None else slice_tables(scores.facts[whole], ranks < 1)
    return Evaluation({**metrics, **counts}, None, [], scores.errors, slices, sets)


def _check_some(known: bool, errors: dict[str, str]) -> None:
    """Raise DataError with the reason where no label is known."""
    if not known:
        first = next(iter(errors.items()), None)
        why = f"the first error is {first[0]}: {first[1]}" if first else "none of them has a label"
        raise DataError(f"no video could be evaluated: {why}")


def chunks(indices: Iterable[int], size: int) -> Iterator[list[int]]:
    """Consecutive lists of up to `size` indices."""
    part: list[int] = []
    for index in indices:
        part.append(index)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
