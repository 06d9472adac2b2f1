"""Runs of the training programs as users start them, remembered by their names: a study goes on where it was stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.behaviour.probing import MAE, linear_probe
from vidmodels.core.recipe import SyntheticSection
from vidmodels.data.manifest import Manifest
from vidmodels.data.synthetic.cache import synthetic_manifest

ROOT = Path(__file__).parents[2]
T = TypeVar("T")
VAL_VIDEOS = 1000
"""Validation videos of all studies: a standard error of 1.4 points at 70 %."""


@dataclass(frozen=True)
class Lab:
    """Where runs are kept, how large the world is, and how many runs go side by side (on a GPU, or with cores to spare)."""

    folder: Path
    videos: int = 2000
    decoders: int = 1
    jobs: int = 1

    def each(self, seeds: Iterable[int], work: Callable[[int], T]) -> tuple[T, ...]:
        """What `work` returns for each seed, `jobs` of them at a time."""
        self.manifest(), self.val()  # rendered once, not by each of them
        with ThreadPoolExecutor(self.jobs) as pool:
            return tuple(pool.map(work, seeds))

    def manifest(self, per_class: int | None = None) -> Path:
        """The training videos, or the first `per_class` of each class."""
        whole = synthetic_manifest(SyntheticSection(num_videos=self.videos), "train", self.folder / "synthetic")
        if per_class is None:
            return _saved(whole, self.folder / "train.parquet")
        labels = whole.table.column("label").to_pylist()
        assert whole.classes is not None
        rows = [i for c in range(len(whole.classes)) for i in [j for j, label in enumerate(labels) if label == c][:per_class]]
        few = Manifest(whole.table.take(sorted(rows)), whole.classes)
        return _saved(few, self.folder / f"train-{per_class}.parquet")

    def val(self) -> Path:
        section = SyntheticSection(num_videos=5 * VAL_VIDEOS)
        return _saved(synthetic_manifest(section, "val", self.folder / "synthetic"), self.folder / "val.parquet")

    def run(self, program: str, name: str, *words: str) -> dict[str, float]:
        """The final metrics of a run; its folder is `folder/name`. Raises RuntimeError with what it said."""
        command = [
            sys.executable, f"pipelines/{program}.py", *words, "--run.name", name, "--run.storage", str(self.folder),
            "--run.backend", "local", "--run.decoders", str(self.decoders), "--run.lineage", "False",
            "--run.pictures", "False", "--run.log-every", "25",
        ]  # fmt: skip
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        return json.loads((self.folder / name / "finished.json").read_text())["metrics"]

    def length(self, steps: int, warming: float = 0.1) -> list[str]:
        """Settings of a schedule of `steps` steps of 16 of the training videos."""
        return _length(steps, self.videos, warming)

    def pretrain(self, seed: int, steps: int) -> tuple[str, dict[str, float]]:
        """Pre-train the long laptop recipe for `steps` steps; the run's folder and its metrics."""
        return self.pretrain_by("pretrain_mae", "mae_st_tiny_long", f"pretrain-{steps}", seed, steps)

    def pretrain_by(
        self, program: str, recipe: str, name: str, seed: int, steps: int, *words: str, batch: int = 16
    ) -> tuple[str, dict[str, float]]:
        """Pre-train by a program for `steps` steps of `batch` videos; the run's folder and its metrics."""
        name = f"{name}-seed{seed}"
        metrics = self.run(
            program, name, recipe, "--data.path", str(self.manifest()), *_length(steps, self.videos, 0.06, batch),
            "--train.seed", str(seed), *words,
        )  # fmt: skip
        return str(self.folder / name), metrics

    def probe(self, seed: int, run: str | None, encoder: str = MAE) -> float:
        """Accuracy of a linear probe of a run's encoder, or of random weights of the model `encoder`."""
        return linear_probe(self.manifest(), self.val(), encoder if run is None else run, seed)

    def classify(
        self,
        name: str,
        seed: int,
        steps: int,
        *words: str,
        recipe: str | Path = "mae_st_tiny_classifier",
        per_class: int | None = None,
        init: str | None = None,
    ) -> float:
        """Accuracy on the validation videos after `steps` steps of `recipe`, a name or a file."""
        given = ("--recipe", str(recipe)) if isinstance(recipe, Path) else (recipe,)
        words += ("--train.init", init) if init is not None else ()
        metrics = self.run(
            "train_classifier", f"{name}-seed{seed}", *given, "--data.path", str(self.manifest(per_class)),
            "--data.val-path", str(self.val()), *_length(steps, self.videos if per_class is None else 10 * per_class),
            "--train.seed", str(seed), *words,
        )  # fmt: skip
        return metrics["val_top1"]

    def detect(self, name: str, seed: int, steps: int, *words: str, recipe: str = "slowfast_tiny_detector") -> float:
        """Mean average precision of a tiny detector on the validation key frames of the crowded world, boxes given."""
        metrics = self.run(
            "train_action_detector", f"{name}-seed{seed}", recipe, *_length(steps, self.videos),
            "--data.synthetic.num-videos", str(self.videos), "--train.seed", str(seed), *words,
        )  # fmt: skip
        return metrics["val_map"]


def _length(steps: int, videos: int, warming: float = 0.1, batch: int = 16) -> list[str]:
    """Settings of a schedule of `steps` steps, a share of them warming up, however many videos there are."""
    warm_up = warming * steps * batch / videos
    return [
        "--schedule.epochs", "100000", "--schedule.max-steps", str(steps), "--schedule.batch-size", str(batch),
        "--schedule.warmup-epochs", f"{warm_up:g}",
    ]  # fmt: skip


def _saved(manifest: Manifest, path: Path) -> Path:
    if not path.exists():
        manifest.save(path)
    return path
