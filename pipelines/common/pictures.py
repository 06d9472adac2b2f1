"""The pictures of a run: what went into it, what a masked autoencoder reconstructs, where a classifier errs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.common.job import TrainJob
from pipelines.common.sources import Sources
from vidmodels.core.label_sets import parts_of
from vidmodels.core.recipe import MaskedRecipe

if TYPE_CHECKING:
    from vidmodels.training.evaluation import Evaluation

log = logging.getLogger(__name__)

RATIOS = (0.5, 0.75, 0.9, 0.95)


def sample_batch(job: TrainJob, folder: Path, videos: int = 8) -> Path | None:
    """`sample_batch.png`: the first clips of the run, as they reach the training device."""
    from vidmodels.visual.panels import save_sample_batch

    reader = job.reader()
    rows = [row for number in range(min(2 * videos, reader.order.epoch_length)) if not (row := reader.read(number))["error"]]
    if not rows:
        return None
    # under multigrid the first steps may have clips of several shapes
    rows = [row for row in rows if row["clips"].shape == rows[0]["clips"].shape][:videos]
    return save_sample_batch(np.stack([row["clips"] for row in rows]), folder / "sample_batch.png", job.kind.titles(rows))


def reconstructions(recipe: MaskedRecipe, sources: Sources, model: Any, folder: Path) -> list[Path]:
    """`reconstruction.png` and `.mp4`: a clip at four masking ratios, the first good one (of the validation videos)."""
    import torch

    from vidmodels.data.reader import ViewReader
    from vidmodels.data.transforms import denormalise, normalise
    from vidmodels.visual.panels import mask_frames, save_reconstruction_panel
    from vidmodels.visual.video import save_reconstruction_video

    task = recipe.task
    manifest = sources.val or sources.train[0]
    reader = ViewReader(manifest, recipe.data.clip)
    row = next((r for i in range(len(manifest)) if not (r := reader.read(i))["error"]), None)
    if row is None:
        return []
    frames = row["clips"][0]
    device = next(model.parameters()).device
    pixels = normalise(torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None].float().div_(255), model.input).to(device)
    chosen = model.target_frames(pixels.shape[2]).tolist()
    original = frames[chosen]
    steps, rows, columns = model.encoder.grid_of(pixels)
    masked, answers = {}, {}
    model.eval()
    for ratio in RATIOS:
        generator = torch.Generator().manual_seed(recipe.train.seed)
        with torch.no_grad():
            output = model(pixels, ratio, task.mask_sampling, task.target, generator)
        # whole frames or columns cannot meet every ratio: what was masked is shown, and once where two ratios agree
        share = round(output.masking.mask.mean().item(), 3)
        if share in answers:
            continue
        clip = denormalise(model.reconstruct(pixels, output, task.target), model.input)[0]
        answers[share] = (clip.permute(1, 2, 3, 0) * 255).round().byte().cpu().numpy()
        masked[share] = mask_frames(original, output.masking.mask[0].cpu().numpy(), (steps, rows, columns))
    title = f"{recipe.model.name}: {row['id']}"
    return [
        save_reconstruction_panel(original, masked, answers, folder / "reconstruction.png", title),
        save_reconstruction_video(original, masked, answers, folder / "reconstruction.mp4", title=title),
    ]


def save_evaluation(
    result: Evaluation, classes: Sequence[str], folder: Path, title: str = "Confusion matrix", name: str = ""
) -> list[Path]:
    """`per_class.csv`, `slices.csv` and `confusion_matrix.png` of a classifier; the last two not with several labels.

    Of label sets the first and the last for each, their names (`name`) before those of the files.
    """
    from vidmodels.metrics.classification import save_rows
    from vidmodels.visual.plots import save_confusion_matrix

    files: list[Path] = []
    for each, part in result.sets.items():
        files += save_evaluation(part, parts_of(classes)[each][1], folder, f"{title}, {each}", f"{each}_")
    if result.per_class:
        files.append(save_rows(result.per_class, folder / f"{name}per_class.csv"))
    if result.slices:
        files.append(save_rows(result.slices, folder / "slices.csv"))
    if result.confusion is not None:
        files.append(save_confusion_matrix(result.confusion, classes, folder / f"{name}confusion_matrix.png", title))
    return files
