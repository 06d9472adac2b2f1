"""Loading published weights into multiscale vision transformers: what a file says about its model, and how tables fit.

A file of another form than the model's (growth, pools, positions ...) is refused with the setting that fits it; a file of
images starts a video model.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vidmodels.backbones.mvit import MViTConfig
from vidmodels.backbones.mvit_keys import FileForm, rows
from vidmodels.core.errors import WeightsError
from vidmodels.layers.positions import resize_joint, resize_spatial, resize_temporal
from vidmodels.layers.relative import resize_relative
from vidmodels.weights.load import LoadReport, load_state, open_state
from vidmodels.weights.patterns import Format

Inflate = Literal["center", "repeat"]


def load_mvit(
    model: nn.Module,
    state: dict[str, Tensor],
    source: str,
    formats: tuple[Format, ...],
    allow: tuple[str, ...] = (),
    metadata: dict[str, Any] | None = None,
    inflate: Inflate = "center",
) -> LoadReport:
    """Load a state dict of one of `formats` into a classifier or detector whose `backbone` is an MViT.

    inflate: how kernels of an image model become those of a video model: in the middle frame, the others zero (MViTv2,
    section 4.3), or repeated over time. Raises WeightsError where the file's model had another form.
    """
    tensors, report = read_tensors(state, formats, source, metadata)
    config: MViTConfig = model.backbone.config  # type: ignore[union-attr, assignment]
    found = FileForm.read(tensors)
    from_images = found.stem_frames == 1 and config.patch[0] > 1
    _check_form(found, config, source, from_images)
    _check_classes(tensors, model, source, allow)
    _convert_positions(tensors, config, from_images)
    if not config.final_norm:
        tensors = {re.sub(r"^backbone\.norm\.", "head.norm.", key): value for key, value in tensors.items()}
    new = [*allow]
    if from_images:
        new += ["*.relative.time", "backbone.pos.temporal"]
        new += [] if found.class_token else ["backbone.cls_token", "backbone.pos.cls"]
    load_state(model, tensors, report, new, allow, lambda key, value, own: _resize(key, value, own, inflate))
    if from_images:
        _forget_time(model, report)
    return report


def read_tensors(
    state: dict[str, Tensor], formats: tuple[Format, ...], source: str, metadata: dict[str, Any] | None = None
) -> tuple[dict[str, Tensor], LoadReport]:
    """Tensors under our keys in our shapes, and the report's beginning. Raises WeightsError for keys that no format knows."""
    _, tensors, report = open_state(state, formats, source, metadata)
    return {key: _with_all_axes(key, value) for key, value in tensors.items()}, report


def _with_all_axes(key: str, value: Tensor) -> Tensor:
    """Kernels with an axis of time, tables and class tokens as [1, L, D], as our models hold them."""
    if value.ndim == 4 and key.endswith(("conv.weight", "patch_embed.weight")):
        return value.unsqueeze(2)
    if value.ndim in (1, 2) and (key == "backbone.cls_token" or key.startswith("backbone.pos.")):
        return value.reshape(1, -1, value.shape[-1])
    return value


def _check_form(found: FileForm, config: MViTConfig, source: str, from_images: bool) -> None:
    """Raises WeightsError that names the settings in which the file's model differed, with their values."""
    own: dict[str, Any] = {name: getattr(config, name) for name in FileForm.__dataclass_fields__ if name != "stem_frames"}
    own["pool_unstrided"] = config.pool_unstrided and config.pool_kernel is not None
    if not config.pools:
        own["pool_mode"] = "max"  # what a file without any pool's weights is taken for
    asked = dict(vars(found))
    names = ["dim", "depth", "stage_starts", "growth", "pool_mode", "qkv_bias"]
    if found.pool_mode == "conv":
        names += ["pool_every_query", "pool_unstrided"]
    elif config.pool_mode == "avg":
        asked["pool_mode"] = "avg"  # neither has weights
    names += ["relative_space"]
    if from_images:
        names += ["class_token"] if found.class_token else []
    else:
        names += ["pool_kernel"] if found.pool_mode == "conv" else []
        names += ["class_token", "positions", "relative_time"]
        if config.is_image and found.positions == "separable" and config.positions == "joint":
            asked["positions"] = "joint"  # see _convert_positions
    if differing := [name for name in names if own[name] != asked[name]]:
        theirs = ", ".join(f"{name}={asked[name]!r}" for name in differing)
        ours = ", ".join(f"{name}={own[name]!r}" for name in differing)
        raise WeightsError(f"{source} was saved from a model with {theirs}, this one has {ours}: pass {theirs} to create_model")


def _check_classes(tensors: dict[str, Tensor], model: nn.Module, source: str, allow: tuple[str, ...]) -> None:
    classes = rows(tensors.get("head.projection.weight"))
    several = getattr(model, "label_sets", None) is not None  # another head, which the check of all tensors says
    if several or classes in (0, model.num_classes) or any(fnmatchcase("head.projection.weight", pattern) for pattern in allow):
        return
    raise WeightsError(
        f"{source} has a head of {classes} classes, the model one of {model.num_classes}: create the model with "
        f"num_classes={classes}, or allow 'head.*' to begin with a new head"
    )


def _convert_positions(tensors: dict[str, Tensor], config: MViTConfig, from_images: bool) -> None:
    """Tables of one image in the form that the model has: a joint table is a spatial one, and they are added up."""
    spatial, temporal = tensors.get("backbone.pos.spatial"), tensors.get("backbone.pos.temporal")
    joint, cls = tensors.get("backbone.pos.table"), tensors.get("backbone.pos.cls")
    one_step = spatial is not None and temporal is not None and temporal.ndim == 3 and temporal.shape[1] == 1
    if config.is_image and config.positions == "joint" and one_step:
        tensors["backbone.pos.table"] = torch.cat([*([] if cls is None else [cls]), spatial + temporal], dim=1)  # type: ignore[operator]
        for name in ("spatial", "temporal", "cls"):
            tensors.pop(f"backbone.pos.{name}", None)
    if from_images and one_step:
        tensors["backbone.pos.spatial"] = spatial + temporal  # type: ignore[operator]
        del tensors["backbone.pos.temporal"]
    if from_images and joint is not None and joint.ndim == 3:
        first = joint.shape[1] - _square_side(joint.shape[1]) ** 2
        tensors["backbone.pos.spatial"] = joint[:, first:]
        if first:
            tensors["backbone.pos.cls"] = joint[:, :first]
        del tensors["backbone.pos.table"]


@torch.no_grad()
def _forget_time(model: nn.Module, report: LoadReport) -> None:
    """Tables along time begin at zero, so that a still clip is taken like its picture (MViTv2, section 4.3)."""
    own = model.state_dict()
    for key in [key for key in report.new if key.endswith(("relative.time", "pos.temporal"))]:
        own[key].zero_()
        report.new.remove(key)
        report.resized[key] = f"nothing in a file of images -> {tuple(own[key].shape)} of zeros"


@torch.no_grad()
def _resize(key: str, value: Tensor, model: nn.Module, inflate: Inflate) -> Tensor | None:
    """Tables for another crop or length, kernels of images for video."""
    target = model.state_dict()[key]
    if key.endswith(("patch_embed.weight", "conv.weight")):
        return _inflated(value, target, inflate)
    if value.ndim != target.ndim or value.shape[-1] != target.shape[-1] or not value.numel():
        return None
    if ".relative." in key:
        return resize_relative(value, len(target))
    pos: Any = model.backbone.pos  # type: ignore[union-attr]
    if key.endswith("pos.temporal"):
        return resize_temporal(value, target.shape[1])
    if key.endswith("pos.spatial"):
        side = _square_side(value.shape[1])
        return resize_spatial(value, (side, side), pos.grid[1:]) if side * side == value.shape[1] else None
    if key.endswith("pos.table"):
        first = int(pos.class_token)
        side = _square_side((value.shape[1] - first) // pos.grid[0])
        if pos.grid[0] * side * side != value.shape[1] - first:
            return None
        tokens = resize_joint(value[:, first:], (pos.grid[0], side, side), pos.grid)
        return torch.cat([value[:, :first], tokens], dim=1)
    return None


def _inflated(value: Tensor, target: Tensor, inflate: Inflate) -> Tensor | None:
    """A kernel of one frame as one of several."""
    same = value.ndim == 5 and value.shape[:2] == target.shape[:2] and value.shape[3:] == target.shape[3:]
    if not same or value.shape[2] != 1:
        return None
    frames = target.shape[2]
    if inflate == "repeat":
        return value.repeat(1, 1, frames, 1, 1)
    longer = torch.zeros_like(target, dtype=value.dtype)
    longer[:, :, frames // 2] = value[:, :, 0]
    return longer


def _square_side(count: int) -> int:
    """Side of the largest square of so many cells."""
    return int(count**0.5)
