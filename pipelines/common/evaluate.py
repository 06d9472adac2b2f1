"""Evaluation of a trained classifier: accuracy, per-class table, confusion matrix, every video exactly once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.common.kinds.sound import hearing_of
from pipelines.common.label_maps import LabelMaps, for_model, label_maps, labels_for_model
from pipelines.common.scoring import Scoring, check_task, clip_of, score_videos
from pipelines.common.settings import EvaluateSettings
from pipelines.common.sources import absolute_data, load_sources
from pipelines.common.storage_paths import default_storage
from vidmodels.core.errors import RunError
from vidmodels.core.logs import setup_logging
from vidmodels.data.manifest import Manifest
from vidmodels.data.reader import ViewReader
from vidmodels.metrics.classification import ClassRow

if TYPE_CHECKING:
    from vidmodels.training.evaluation import Scores


def evaluate(settings: EvaluateSettings) -> int:
    """Evaluate, print the table and write the files. Raises VidmodelsError."""
    from pipelines.common.execute import init_path
    from pipelines.common.pictures import save_evaluation
    from vidmodels import zoo
    from vidmodels.training.evaluation import join_scores, summarise

    setup_logging()
    storage = settings.run.storage or default_storage()
    weights = init_path(settings.model, settings.run.tracking_uri)
    metadata = zoo.read_metadata(weights)
    classes = check_task(metadata, settings.model)
    sources = load_sources(absolute_data(settings.data), storage)
    manifest = for_model(sources.val or sources.train[0], classes)
    maps = label_maps(manifest, classes, settings.data.label)
    views = settings.evaluation
    clip, hearing = clip_of(metadata, settings.data.clip), hearing_of(zoo.entry(metadata["name"]))
    reader = ViewReader(manifest, clip, views.num_clips, views.num_crops, views.size, hearing)
    scoring = Scoring(str(weights), "scores", views.batch_size, views.combine)
    rows = list(score_videos(scoring, reader, range(len(manifest)), settings.run))
    _check_once([row["id"] for row in rows], manifest)
    good = [row for row in rows if not row["error"]]
    result = summarise(join_scores([_scores(rows, maps, classes)]), classes)
    folder = Path(settings.out or f"{storage}/evaluations/{file_name(settings.model)}-{manifest.digest[:12]}")
    folder.mkdir(parents=True, exist_ok=True)
    save_evaluation(result, classes, folder, f"{metadata['name']} on {manifest.digest[:12]}")
    answer = {"model": settings.model, "data_digest": manifest.digest, "views": f"{views.num_clips} x {views.num_crops}",
              **result.metrics, "errors": result.errors}  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(answer, indent=2) + "\n")
    for name, each in (result.sets or {"": result}).items():
        if name:
            print(f"{name}:")
        for row in each.per_class:
            share = row.accuracy if isinstance(row, ClassRow) else row.average_precision
            print(f"  {row.name:<24} {row.support:>6} videos  {100 * share:5.1f} %")
    for part in result.slices:
        print(f"  {part.fact} {part.low:.4g} to {part.high:.4g}: {part.videos} videos, {100 * part.accuracy:.1f} %")
    shares = {key: value for key, value in result.metrics.items() if key.rpartition("_")[2].startswith(("top", "map"))}
    shown = ", ".join(f"{key} {100 * value:.2f} %" for key, value in shares.items())
    print(f"{shown} on {len(good)} of {len(rows)} videos, {views.num_clips} x {views.num_crops} views; {folder}")
    if result.metrics.get("without_sound"):
        print(f"  {result.metrics['without_sound']:.0f} of them without sound: their classes are from the pictures alone")
    for key, why in list(result.errors.items())[:20]:
        print(f"  not decoded: {key}: {why}")
    return 0


def _scores(rows: list[dict[str, Any]], maps: LabelMaps, classes: tuple[str, ...]) -> Scores:
    """The decoded rows as arrays, with the model's numbers of the classes."""
    from vidmodels.training.evaluation import Scores

    good = [row for row in rows if not row["error"]]
    errors = {row["id"]: row["error"] for row in rows if row["error"]}
    if not good:
        return Scores([], np.zeros((0, len(classes)), np.float32), np.zeros(0, np.int64), errors)
    labels = labels_for_model(good, maps, classes)
    facts = np.stack([row["facts"] for row in good])
    silent = [row["id"] for row in good if not row["heard"]] if "heard" in good[0] else None
    return Scores([row["id"] for row in good], np.stack([row["values"] for row in good]), labels, errors, facts, silent)


def _check_once(ids: list[str], manifest: Manifest) -> None:
    counts = Counter(ids)
    wanted = {manifest.row(i).id for i in range(len(manifest))}
    if counts.keys() != wanted or max(counts.values(), default=1) > 1:
        raise RunError(
            f"{len(wanted - counts.keys())} videos were not evaluated and {sum(c > 1 for c in counts.values())} more than "
            "once: the result would be wrong, run it again"
        )


def file_name(model: str) -> str:
    """A name of results for the address of a model."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in model.removeprefix("models:/"))[-80:]
