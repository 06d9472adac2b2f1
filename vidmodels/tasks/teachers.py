"""Teachers of masked feature prediction: frozen networks that say something of each token (MaskFeat, section 3.2).

N clips, C colours, T frames, H height, W width; L tokens of a grid of T' x H' x W', K values of each.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError
from vidmodels.data.transforms import denormalise, normalise
from vidmodels.losses.feature_targets import first_frames
from vidmodels.ops.block_masking import Grid


class ModelTeacher:
    """A classifier of the zoo: its maps (feature), or what its last layer says of each place of them (label).

    model: with `backbone`, `head` and `input`. seen: the input that the student's clips were normalised for. outputs: values
    for each token. A model of images sees each frame that a token begins with. Raises ConfigError for a model whose last layer
    does not take its maps' channels.
    """

    def __init__(self, model: Any, seen: InputSpec, gives: Literal["feature", "label"]) -> None:
        if not hasattr(getattr(model, "backbone", None), "maps") or not hasattr(model, "head"):
            raise ConfigError(f"a {type(model).__name__} cannot teach: choose a classifier with a backbone, or MODULE:FUNCTION")
        self.model, self.seen, self.gives = model.eval().requires_grad_(False), seen, gives
        self.outputs: int = model.num_classes if gives == "label" else sum(self._channels())
        if gives == "label" and model.feature_dim != sum(self._channels()):
            raise ConfigError(f"{type(model.head).__name__} does not classify single places: choose target 'feature'")

    @torch.no_grad()
    def __call__(self, clips: Tensor, grid: Grid) -> Tensor:
        """Values [N, L, K] of the tokens of clips [N, C, T, H, W]."""
        model, spec = self.model.to(clips.device), self.model.input
        pixels = clips if (spec.mean, spec.std) == (self.seen.mean, self.seen.std) else normalise(
            denormalise(clips, self.seen), spec
        )  # fmt: skip
        if spec.num_frames > 1:
            return self._read(model, pixels, grid)
        frames = first_frames(pixels, grid).transpose(1, 2).flatten(0, 1).unsqueeze(2)
        return self._read(model, frames, (1, *grid[1:])).unflatten(0, (len(clips), grid[0])).flatten(1, 2)

    def _read(self, model: Any, pixels: Tensor, grid: Grid) -> Tensor:
        maps = [functional.adaptive_avg_pool3d(part, grid).flatten(2).transpose(1, 2) for part in model.backbone.maps(pixels)]
        tokens = torch.cat(maps, dim=-1)
        if self.gives == "feature":
            return tokens
        return model.head.projection(getattr(model.head, "norm", nn.Identity())(tokens))

    def _channels(self) -> list[int]:
        """Of the maps, as a small clip tells."""
        spec = self.model.input
        parameter = next(self.model.parameters())
        clip = torch.zeros(1, 3, spec.num_frames, spec.size, spec.size, device=parameter.device, dtype=parameter.dtype)
        with torch.no_grad():
            return [part.shape[1] for part in self.model.backbone.maps(clip)]


def own_teacher(name: str) -> Any:
    """What MODULE:FUNCTION gives: a module of the user's, frozen here.

    It is called with normalised clips [N, C, T, H, W] and the grid of tokens (T', H', W') and answers [N, L, K]: scores of
    K codes, features, or scores of classes; its attribute `outputs` is K. Raises ConfigError.
    """
    module, _, function = name.partition(":")
    try:
        teacher = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"task.teacher {name!r} cannot be imported ({error}): give MODULE:FUNCTION of an importable module"
        ) from None
    if not callable(teacher) or not isinstance(getattr(teacher, "outputs", None), int):
        raise ConfigError(f"task.teacher {name!r} gives no network with an attribute `outputs`, the values of a token")
    return _Frozen(teacher) if isinstance(teacher, nn.Module) else teacher


class _Frozen:
    """A module on the device of the clips, without gradient."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.outputs = module.eval().requires_grad_(False), int(module.outputs)  # type: ignore[arg-type]

    @torch.no_grad()
    def __call__(self, clips: Tensor, grid: Grid) -> Tensor:
        return self.module.to(clips.device)(clips, grid)
