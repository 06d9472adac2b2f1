"""Evaluation of a trained detector of actions: precision of each class over all key frames, each exactly once."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from pipelines.common.action_pictures import save_key_frames, save_precision
from pipelines.common.boxed_sources import load_boxed
from pipelines.common.scoring import check_task, clip_of
from pipelines.common.sources import absolute_data
from pipelines.common.storage_paths import default_storage
from vidmodels.core.errors import ConfigError
from vidmodels.core.logs import setup_logging
from vidmodels.core.recipe import DetectEvalSection, KeyFramesSection, RunSection, Section
from vidmodels.data.boxed_reader import WholeFrameReader


class EvaluateActionsSettings(Section):
    """Evaluate a detector of actions on key frames with boxes: every key frame exactly once, in this process."""

    model: str
    """Weights: models:/NAME@ALIAS, a run's folder, or a .safetensors file."""
    data: KeyFramesSection = KeyFramesSection()
    """The key frames; with validation boxes (`val_path`, `val_fraction`, the synthetic world) these, else all."""
    evaluation: DetectEvalSection = DetectEvalSection()
    """Size of the frames and overlap."""
    run: RunSection = RunSection()
    out: str | None = None
    """Folder of the results; default: evaluations/NAME in the storage."""


def evaluate_actions(settings: EvaluateActionsSettings) -> int:
    """Evaluate, print the table and write the files. Raises VidmodelsError."""
    import torch

    from pipelines.common.evaluate import file_name
    from pipelines.common.execute import init_path
    from vidmodels import zoo
    from vidmodels.training.action_evaluation import join_box_scores, score_key_frames, summarise_actions

    setup_logging()
    storage = settings.run.storage or default_storage()
    weights = init_path(settings.model, settings.run.tracking_uri)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, metadata = zoo.load_model(weights)
    model = model.to(device)
    classes = check_task(metadata, settings.model)
    data = _evaluated(settings.data, model.input.size)
    sources = load_boxed(absolute_data(data), storage, classes)
    manifest, views = sources.val or sources.train[0], settings.evaluation
    clip = clip_of(metadata, data.clip.replace(crop="random_resized"))
    reader = WholeFrameReader(manifest, clip, views.size or model.input.view_size)
    found = score_key_frames(model, reader, range(len(manifest)), views.batch_size, device)
    counting = metadata.get("evaluated") if sources.evaluated is None else sources.evaluated
    result = summarise_actions(
        join_box_scores([found], len(manifest)), manifest.boxes, sources.truth or manifest.boxes, classes, counting,
        views.min_overlap,
    )  # fmt: skip
    folder = Path(settings.out or f"{storage}/evaluations/{file_name(settings.model)}-{manifest.digest[:12]}")
    folder.mkdir(parents=True, exist_ok=True)
    save_precision(result, folder, f"{metadata['name']} on {manifest.digest[:12]}")
    save_key_frames(model, reader, classes, folder)
    about = {"model": settings.model, "data_digest": manifest.digest}
    answer: dict[str, Any] = {**about, **result.metrics, "errors": result.errors}
    (folder / "evaluation.json").write_text(json.dumps(answer, indent=2) + "\n")
    for row in result.per_class:
        print(f"  {row.name:<40} {row.support:>6} boxes  {100 * row.average_precision:5.1f} %")
    metrics = result.metrics
    print(f"map {100 * metrics['map']:.2f} % on {metrics['boxes']:.0f} boxes in {metrics['key_frames']:.0f} of {len(manifest)} "
          f"key frames; {folder}")  # fmt: skip
    for key, why in list(result.errors.items())[:20]:
        print(f"  not decoded: {key}: {why}")
    return 0


def _evaluated(data: KeyFramesSection, size: int) -> KeyFramesSection:
    """The section with `path` as what is true of detected boxes, where no other is named, and a synthetic world of the model's
    size, where nothing else is asked for. Raises ConfigError for boxes that are there to be trained on."""
    if data.detections is not None:
        raise ConfigError(f"data.detections {data.detections} are trained on: give what is evaluated as data.val_detections")
    if data.val_detections is not None and data.val_path is None and not data.val_fraction:
        return data.replace(val_path=data.path, val_excluded=data.val_excluded or data.excluded)
    if not data.is_synthetic or data.synthetic.size != KeyFramesSection().synthetic.size:
        return data
    return data.replace(synthetic=data.synthetic.replace(size=size))


def is_detector(words: list[str]) -> bool:
    """Whether the model that a command line names is a detector of actions. What is wrong with it is said later."""
    from pipelines.common.execute import init_path
    from vidmodels import zoo
    from vidmodels.core.errors import VidmodelsError

    given = dict(itertools.pairwise(words))
    model = words[0] if words and not words[0].startswith("-") else given.get("--model")
    if model is None:
        return False
    try:
        path = Path(init_path(model, given.get("--run.tracking-uri")))
        about = zoo.read_metadata(path)
        return zoo.entry(str(about["name"])).task == "detect_actions" if "name" in about else False
    except VidmodelsError:
        return False
