"""The pictures of masked feature prediction: what was masked, what was wanted there, what was predicted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pipelines.common.kinds.masked_features import MaskedFeatures

log = logging.getLogger(__name__)

SHOWN = 3  # videos


def save_panels(kind: MaskedFeatures, model: Any, folder: Path) -> list[Path]:
    """`features.png`: strips of the first good videos (of the validation data), of the last depth's predictions.

    Histograms are drawn as oriented bars, pixels as pictures; of targets that a teacher gives there is nothing to draw.
    """
    from vidmodels.visual.canvas import save_png
    from vidmodels.visual.panels import Strip, draw_strips

    recipe = kind.recipe
    if recipe.task.target not in ("hog", "pixel"):
        log.info("no picture of the target %s: what a teacher says has none", recipe.task.target)
        return []
    strips: list[Any] = []
    for row in _rows(kind):
        strips += [Strip(frames, label, note, begins=first) for frames, label, note, first in _strips(kind, model, row)]
    if not strips:
        return []
    title = f"{recipe.model.name}: {recipe.task.target}, {recipe.task.mask_sampling} masks"
    return [save_png(draw_strips(strips, title, "one column for each time step of the tokens"), folder / "features.png")]


def _rows(kind: MaskedFeatures) -> list[dict[str, Any]]:
    from vidmodels.data.reader import ViewReader

    manifest = kind.sources.val or kind.sources.train[0]
    reader = ViewReader(manifest, kind.recipe.data.clip)
    good = (row for i in range(len(manifest)) if not (row := reader.read(i))["error"])
    return [row for row, _ in zip(good, range(SHOWN))]


def _strips(kind: MaskedFeatures, model: Any, row: dict[str, Any]) -> list[tuple[np.ndarray, str, str, bool]]:
    """Frames as the encoder sees them, the target, and the prediction at masked places among true values at the others."""
    import torch

    from vidmodels.data.transforms import pixels_of
    from vidmodels.losses.feature_targets import first_frames
    from vidmodels.ops.block_masking import sample_cells, to_grid
    from vidmodels.visual.panels import mask_frames

    settings = kind.recipe.task
    frames = row["clips"][0]
    clips = pixels_of(torch.from_numpy(frames.copy())[None], model.input).to(next(model.parameters()).device)
    generator = torch.Generator().manual_seed(kind.recipe.train.seed)
    cells = sample_cells(settings.mask_sampling, 1, model.mask_grid(clips), settings.mask_ratio, generator).to(clips.device)
    task: Any = kind.make_task(model)
    model.eval()
    with torch.no_grad():
        prediction = model(clips, cells)[-1].float()
        t, h, w = prediction.shape[1:4]
        wanted = task.targets[-1].of(clips, (t, h, w))
        masked = to_grid(cells, (t, h, w))
        mixed = torch.where(masked.unsqueeze(-1), prediction.flatten(1, 3), wanted)
        error = task.targets[-1].loss(prediction.flatten(1, 3)[masked], wanted[masked]).mean().item()
    seen = first_frames(torch.from_numpy(frames).permute(3, 0, 1, 2)[None], (t, h, w))[0].permute(1, 2, 3, 0).numpy()
    grid = (cells.shape[1], cells.shape[2], cells.shape[3])
    shown = mask_frames(seen, cells[0].flatten().cpu().numpy(), grid)
    draw = _draw_histograms if settings.target == "hog" else _draw_image if model.backbone.config.is_image else _draw_pixels
    share = f"{cells.float().mean().item():.0%} masked"
    return [
        (seen, Path(row["id"]).name, "", True),
        (shown, "masked input", share, False),
        (draw(wanted[0], (t, h, w)), "target", "", False),
        (draw(mixed[0], (t, h, w)), "prediction", f"loss {error:.4f}", False),
    ]


def _draw_histograms(tokens: Any, grid: tuple[int, int, int]) -> np.ndarray:
    """Frames of targets [L, P]: the histograms of the three colours added up."""
    from vidmodels.ops.hog import BINS
    from vidmodels.visual.gradients import draw_histograms

    t, h, w = grid
    side = round((tokens.shape[-1] / (3 * BINS)) ** 0.5)
    parts = tokens.view(t, h, w, 3, BINS, side, side).sum(3)
    return draw_histograms(parts.permute(0, 3, 1, 4, 2, 5).reshape(t, BINS, h * side, w * side))


def _draw_image(tokens: Any, grid: tuple[int, int, int]) -> np.ndarray:
    """As `_draw_pixels`, of the order (colour, row, column) that targets of pictures have."""
    side = round((tokens.shape[-1] / 3) ** 0.5)
    return _draw_pixels(tokens.unflatten(-1, (3, side * side)).transpose(-1, -2).flatten(-2), grid)


def _draw_pixels(tokens: Any, grid: tuple[int, int, int]) -> np.ndarray:
    """Frames of targets [L, P], (row, column, colour), with values of all frames between black and white."""
    t, h, w = grid
    side = round((tokens.shape[-1] / 3) ** 0.5)
    pixels = tokens.view(t, h, w, side, side, 3).permute(0, 1, 3, 2, 4, 5).reshape(t, h * side, w * side, 3)
    low, high = pixels.amin(), pixels.amax()
    return ((pixels - low) / (high - low).clamp(min=1e-6)).cpu().numpy()
