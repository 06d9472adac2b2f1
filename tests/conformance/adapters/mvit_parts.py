"""What the adapters of both multiscale vision transformers share: a case's configuration as our model, and its outputs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.adapters.parts import checked_parameters, cut, state_tensors
from tests.conformance.conformance import inputs_of
from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.backbones.mvit_keys import FileForm
from vidmodels.backbones.mvit_weights import read_tensors
from vidmodels.core.errors import ConfigError
from vidmodels.heads.roi_action import ActionDetector, RoiActionHead
from vidmodels.heads.tokens import with_head
from vidmodels.weights.patterns import Format

# other names of the same setting in PyTorchVideo
ALIASES = {
    "patch_stride": "conv_patch_embed_stride", "patch_padding": "conv_patch_embed_padding", "mode": "pooling_mode",
    "pool_q_stride": "pool_q_stride_size", "pool_kv_stride": "pool_kv_stride_size", "num_frames": "temporal_size",
    "crop": "spatial_size", "residual_pooling": "residual_pool",
}  # fmt: skip
UNSUPPORTED = ("pool_first", "norm_stem", "use_fixed_sincos_pos", "rev", "enable_rev", "enable_patch_embed_norm")


@torch.no_grad()
def answer(
    case: dict,
    formats: tuple[Format, ...],
    load_tensors: Callable[..., Any],
    renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
) -> dict[str, np.ndarray]:
    """All outputs of the case; renamed: what the system's loader does to keys before it looks at the formats."""
    state = state_tensors(case)
    tensors, report = read_tensors(renamed(state), formats, "the case's state")
    inputs = inputs_of(case)
    clips = next(torch.from_numpy(np.asarray(v, np.float32)) for v in inputs.values() if np.ndim(v) in (4, 5))
    config = case["config"]
    backbone = MViT(read_config(config, report.format, tensors, clips))
    classes = len(tensors["head.projection.weight"])
    boxes = _boxes(config, inputs)
    model: Any
    if boxes is not None:
        stride = round(1 / float(Fraction(str(config.get("spatial_scale", "1/32")))))
        head = RoiActionHead(
            [backbone.dim], classes, stride, config.get("aligned", True), resolution=config.get("roi_resolution", 7)
        )
        model = ActionDetector(backbone, head)
    else:
        model = with_head(backbone, classes)
    model.eval()
    load_tensors(model, state, "the case's state")
    checked_parameters(model, case)
    answers = _run(model, clips, boxes)
    texts = case.get("outputs", {})
    return {key: cut(value, texts.get(key, "")).float().numpy() for key, value in answers.items()}


def _run(model: Any, clips: Tensor, boxes: Tensor | None) -> dict[str, Tensor]:
    answers: dict[str, Tensor] = {}

    for i, block in enumerate(model.backbone.layers):
        block.register_forward_hook(noted(answers, i))
    model.backbone.norm.register_forward_hook(lambda _module, _inputs, out: answers.update({"tokens": out}))
    logits = model(clips) if boxes is None else model(clips, boxes)
    pos = model.backbone.pos
    if pos is not None:
        grid = model.backbone.embed(clips)[1]
        first = [pos.cls] if pos.cls is not None else []
        answers["pos_term"] = torch.cat([*first, pos.tokens(grid)], dim=1)
    scores = logits.softmax(-1) if model.activation == "softmax" else logits.sigmoid()
    return {**answers, "logits": logits, "scores": scores, "probabilities": scores}


def noted(answers: dict[str, Tensor], block: int) -> Callable[..., None]:
    """A hook that keeps what the cases compare of a block's tokens."""
    return lambda _module, _inputs, out: answers.update({f"block_{block}_mean": out.mean(-1), "last_tokens": out})


def _boxes(config: dict, inputs: dict[str, Any]) -> Tensor | None:
    given = inputs.get("boxes", config.get("boxes_batch_xyxy"))
    if given is None and "boxes_xyxy" in config:
        given = [[0, *box] for box in config["boxes_xyxy"]]
    return None if given is None else torch.as_tensor(np.asarray(given, np.float32))


def read_config(config: dict, layout: str, tensors: dict[str, Tensor], clips: Tensor) -> MViTConfig:
    """Our configuration: what the tensors (under our keys) tell, and what only the case's configuration says."""
    get = _reader(config)
    form = FileForm.read(tensors)
    if refused := [key for key in UNSUPPORTED if config.get(key)]:
        raise ConfigError(f"{refused[0]} is not supported: no published model has it")
    mode = get("mode") or "conv"
    if mode not in ("conv", "max", "avg"):
        raise ConfigError(f"pooling mode {mode!r} is not supported: no published model has it")
    image = form.stem_frames == 1
    strides = {row[0]: _three(row[1:]) for row in get("pool_q_stride") or []}
    q_strides = tuple(strides.get(i, (1, 1, 1) if strides else (1, 2, 2)) for i in form.stage_starts)
    if any(max(s) > 1 for i, s in strides.items() if i not in form.stage_starts):
        raise ConfigError("queries are pooled inside of a stage, which no published model does")
    listed = {row[0]: _three(row[1:]) for row in get("pool_kv_stride") or []}
    stem = tensors["backbone.patch_embed.weight"]
    kernel = tuple(stem.shape[2:])
    fields: dict[str, Any] = {
        "dim": form.dim, "depth": form.depth, "stage_starts": form.stage_starts, "growth": form.growth,
        "num_heads": get("num_heads") or form.dim // _head_dim(tensors, form.dim),
        "num_frames": get("num_frames") or (1 if image else clips.shape[-3]),
        "size": _side(get("crop") or clips.shape[-1]),
        "patch": kernel,
        "patch_stride": _three(get("patch_stride") or ((1, 4, 4) if image else (2, 4, 4))),
        "patch_padding": _three(get("patch_padding") or [k // 2 for k in kernel], 0),
        "q_strides": q_strides or (1, 1, 1), "kv_stride": _kv_stride(get, listed, image),
        "pool_mode": mode, "class_token": form.class_token, "positions": form.positions,
        "relative_space": form.relative_space, "relative_time": form.relative_time,
        "residual": _residual(get("residual_pooling"), config, layout, form),
        "mlp_ratio": len(tensors["backbone.layers.0.mlp.fc1.bias"]) / len(tensors["backbone.layers.0.norm2.weight"]),
        "qkv_bias": form.qkv_bias, "final_norm": not config.get("use_mean_pooling", False),
    }  # fmt: skip
    if mode == "conv":
        fields |= {"pool_every_query": form.pool_every_query, "pool_unstrided": form.pool_unstrided}
        fields |= {"pool_kernel": form.pool_kernel}
    else:
        given = get("pool_kvq_kernel")
        fields |= {"pool_every_query": len(strides) > len(form.stage_starts), "pool_kernel": _three(given) if given else None}
    ours = MViTConfig(**fields)
    for i, shape in enumerate(ours.blocks()):
        if listed.get(i, shape.kv_stride) != shape.kv_stride:
            raise ConfigError(f"block {i} has the stride {listed[i]} of keys and values, not {shape.kv_stride} by the rule")
    return ours


def _kv_stride(get: Callable[[str], Any], listed: dict[int, tuple[int, int, int]], image: bool) -> tuple[int, int, int]:
    if adaptive := get("pool_kv_stride_adaptive"):
        return _three(adaptive)
    if get("pool_kv_stride") == [] and not get("pool_kvq_kernel"):
        return 1, 1, 1  # a plain transformer
    return listed.get(0, (1, 4, 4) if image else (1, 8, 8))


def _reader(config: dict) -> Callable[[str], Any]:
    return lambda key: config.get(key, config.get(ALIASES.get(key, "")))


def _three(values: Any, first: int = 1) -> tuple[int, int, int]:
    """Two numbers of an image model get the one for time."""
    t, h, w = values if len(values) == 3 else (first, *values)
    return t, h, w


def _side(size: Any) -> int:
    return size if isinstance(size, int) else size[0]


def _head_dim(tensors: dict[str, Tensor], default: int) -> int:
    for key in ("attn.pool_k.norm.weight", "attn.pool_q.norm.weight"):
        if (weight := tensors.get(f"backbone.layers.0.{key}")) is not None:
            return len(weight)
    return default


def _residual(asked: bool | None, config: dict, layout: str, form: FileForm) -> str:
    """PySlowFast and torchvision add the pooled query to tokens of the grid, all other codes to the class token too."""
    if not (form.relative_space if asked is None else asked):
        return "none"
    video_code = layout == "torchvision" or (layout.startswith("PySlowFast") and "num_frames" in config)
    return "grid" if video_code else "all"
