"""Nearest neighbours in an encoder's features as the evaluation of pre-training: no layer is trained on the labels.

M videos of the memory, D width of a feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.common.kinds.base import Kind, RecipeT, class_names
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.core.recipe import ClipSection
from vidmodels.data.reader import ViewReader

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pipelines.common.sources import Sources
    from vidmodels.training.distributed import World
    from vidmodels.training.evaluation import Evaluation

BATCH = 16
"""Videos that are decoded and computed at once."""


class ByNearest(Kind[RecipeT]):
    """Pre-training whose encoder is evaluated by nearest neighbours where `task.knn_videos` asks for it."""

    def model_settings(self) -> dict[str, Any]:
        if self._videos and not self.evaluates:
            raise ConfigError(
                "task.knn_videos needs validation videos of one class each: name labelled ones in data.path and "
                "data.val_path, or leave it out"
            )
        return super().model_settings()

    @property
    def metric(self) -> str:
        return "val_top1" if self.evaluates else "loss"

    @property
    def evaluates(self) -> bool:
        return self._videos > 0 and labelled(self.sources)

    def evaluate(self, model: Any, world: World) -> Evaluation:
        return evaluate_nearest(model, self.sources, self.recipe.data.clip, self._videos, world)

    @property
    def _videos(self) -> int:
        return self.recipe.task.knn_videos  # type: ignore[attr-defined]  # recipes of such kinds have it


def labelled(sources: Sources) -> bool:
    """Whether there are validation videos, and each video has one class."""
    val = sources.val
    return (
        val is not None and val.classes is not None and not (isinstance(val.classes, LabelSets) or sources.train[0].multi_label)
    )


def evaluate_nearest(model: Any, sources: Sources, clip: ClipSection, videos: int, world: World) -> Evaluation:
    """What the validation videos are, by the training videos whose features are nearest to theirs.

    model: with `features(clips)` [N, D] and `input`; videos: of the memory, evenly over the first source. Features are brought
    to mean 0 and deviation 1 over the memory, or what they have in common would hide in what they differ.
    """
    import torch

    from vidmodels.inference.nearest import NearestClassifier
    from vidmodels.training.distributed import gather_objects
    from vidmodels.training.evaluation import chunks, join_scores, score_views, summarise

    assert sources.val is not None
    names, train = class_names(sources), sources.train[0]
    step = max(1, -(-len(train) // videos))
    mine = range(world.rank * step, len(train), world.size * step)
    found = [_features(model, ViewReader(train, clip).read_batch(part), world.device) for part in chunks(mine, BATCH)]
    parts = [part for each in gather_objects(found, world) for part in each if len(part[1])]
    if not parts:
        raise DataError("no training video could be decoded: nearest neighbours need some")
    memory = torch.cat([features for features, _ in parts]).to(world.device)
    labels = torch.cat([known for _, known in parts])
    embed = _Standardised(model, memory)
    nearest = NearestClassifier(embed, embed.scaled(memory), labels, len(names))
    reader = ViewReader(sources.val, clip)
    own = range(world.rank, len(reader.manifest), world.size)
    scores = [score_views(nearest, reader.read_batch(part), model.input, BATCH, world.device) for part in chunks(own, BATCH)]
    return summarise(join_scores(gather_objects(join_scores(scores), world)), names)


class _Standardised:
    """Features of unit length after mean and deviation of a memory [M, D] were taken out."""

    def __init__(self, model: Any, memory: Tensor) -> None:
        self._model, self._mean, self._std = model, memory.mean(0), memory.std(0).clamp(min=1e-6)

    def scaled(self, features: Tensor) -> Tensor:
        from torch.nn.functional import normalize

        return normalize((features - self._mean) / self._std, dim=1)

    def __call__(self, clips: Tensor) -> Tensor:
        return self.scaled(self._model.features(clips))


def _features(model: Any, columns: dict[str, Any], device: torch.device) -> tuple[Tensor, Tensor]:
    """Features [M, D] and labels [M] of the videos that could be decoded."""
    import numpy as np
    import torch

    from vidmodels.inference.portions import portions

    good = [i for i, error in enumerate(columns["error"]) if not error]
    labels = torch.as_tensor(np.asarray(columns["label"])[good], dtype=torch.int64)
    rows = []
    with torch.no_grad():
        for i in good:
            views = torch.from_numpy(np.array(columns["clips"][i]))
            rows.append(torch.cat([model.features(*inputs) for inputs in portions(views, model.input, BATCH, device)]).mean(0))
    return torch.stack(rows).cpu() if rows else torch.zeros(0, 0), labels
