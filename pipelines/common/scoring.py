"""Running a trained model over every video of a list, each exactly once, alone or on a cluster.

V videos, M views of each (clips x crops), K classes, D channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import classes_of
from vidmodels.core.recipe import ClipSection, RunSection
from vidmodels.data.reader import ViewReader

What = Literal["scores", "features"]


@dataclass(frozen=True)
class Scoring:
    """What to compute: the weights file, scores [K] or the views' embeddings [M, D], views per forward pass (fewer where
    that is faster, `portions`).

    combine: how the scores of a video's views become one row, mean or max.
    """

    weights: str
    what: What = "scores"
    batch_size: int = 16
    combine: str = "mean"

    def open(self, threads: int | None = None) -> Scorer:
        """The model in this process, on a GPU where there is one."""
        return Scorer(self, threads)


class Scorer:
    """A model that answers columns of decoded views with rows of numbers; also the body of a Ray actor."""

    def __init__(self, scoring: Scoring, threads: int | None = None) -> None:
        import torch

        from vidmodels import zoo

        if threads is not None:
            torch.set_num_threads(threads)
        self.scoring = scoring
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model, self.metadata = zoo.load_model(scoring.weights)
        self.model: Any = model.to(self.device).eval()

    def __call__(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Columns of V videos to `values` (float32 [K] or [M, D] each; zeros for undecoded ones), spans, id, label, error.

        Of a model that hears also `heard`, bool [V]: whether a video has sound in one of its views.
        """
        sounds = [self._hear(columns, number) for number in range(len(columns["error"]))]
        values = [
            np.zeros(self._empty(columns["clips"].shape[1]), np.float32) if error else self._answer(views, sound)
            for views, sound, error in zip(columns["clips"], sounds, columns["error"])
        ]
        some: dict[str, Any] = {key: np.asarray(columns[key]) for key in ("targets", "facts") if key in columns}
        if self.model.input.audio is not None:
            some["heard"] = np.array([bool(sound[1].any()) for sound in sounds])
        return {
            **some,
            "values": np.stack(values),
            "spans": np.asarray(columns["spans"]),
            "id": list(columns["id"]),
            "label": np.asarray(columns["label"]),
            "error": list(columns["error"]),
        }

    def _hear(self, columns: dict[str, Any], number: int) -> Sequence[Any]:
        """Rows and flags of the views of one video; nothing for a model that takes no sound."""
        from vidmodels.tasks.hearing import sound_of_views

        audio = self.model.input.audio
        return () if audio is None else sound_of_views(columns, number, audio, self.device)

    def _answer(self, views: np.ndarray, heard: Sequence[Any]) -> np.ndarray:
        import torch

        from vidmodels.inference.portions import portions
        from vidmodels.tasks.classify import combine_views, scores_of

        spec, size, parts = self.model.input, self.scoring.batch_size, []
        for inputs in portions(torch.from_numpy(np.array(views)), spec, size, self.device, heard):
            with torch.inference_mode():
                if self.scoring.what == "scores":
                    parts.append(scores_of(self.model, self.model(*inputs)))
                else:
                    parts.append(self.model.features(*inputs))
        answer = torch.cat(parts)
        answer = combine_views(answer, self.scoring.combine) if self.scoring.what == "scores" else answer
        return answer.float().cpu().numpy()

    def _empty(self, views: int) -> tuple[int, ...]:
        if self.scoring.what == "scores":
            return (self.model.num_classes,)
        return (views, self.model.feature_dim)


def score_videos(scoring: Scoring, reader: ViewReader, indices: Sequence[int], run: RunSection) -> Iterator[dict[str, Any]]:
    """Rows {values, spans, facts, id, label, error} of the videos, one at a time, each exactly once for any number of workers.

    With `run.backend` ray, `run.decoders` actors decode and `run.num_workers` actors compute; else this process does both.
    """
    if run.backend == "local":
        scorer = scoring.open()
        for index in indices:
            yield from _rows(scorer(reader.read_batch([index])))
        return
    from pipelines.common.cluster import ensure_ray

    ensure_ray(run)
    from pipelines.common.ray_ledger import start_ledger
    from pipelines.common.ray_map import score_on_cluster

    for columns in score_on_cluster(scoring, reader, indices, run, start_ledger()):
        yield from _rows(columns)


def clip_of(metadata: dict[str, Any], given: ClipSection) -> ClipSection:
    """How clips are taken: as in the model's training, with what the user gave beside its defaults."""
    default = ClipSection().model_dump()
    changed = {key: value for key, value in given.model_dump().items() if value != default[key]}
    return ClipSection(**{**metadata.get("clip", {}), **changed})


def check_task(metadata: dict[str, Any], weights: str) -> tuple[str, ...]:
    """The class names of a classifier, LabelSets where it has several. Raises ConfigError for another kind of model."""
    classes = metadata.get("classes")
    if not classes:
        raise ConfigError(
            f"{weights} is a {metadata.get('task', 'model')} without classes: train a classifier from it with "
            "pipelines/train_classifier.py --train.init"
        )
    return classes_of(classes, metadata.get("settings", {}).get("num_classes"))


def _rows(columns: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kinds: dict[str, Any] = {"values": np.array, "spans": np.array, "targets": np.array, "facts": np.array}
    # a label, or a list with that of each label set
    kinds |= {"id": str, "label": lambda value: np.asarray(value).tolist(), "error": str, "heard": bool}
    names = [name for name in kinds if name in columns]
    for row in zip(*(columns[name] for name in names)):
        yield {name: kinds[name](value) for name, value in zip(names, row)}
