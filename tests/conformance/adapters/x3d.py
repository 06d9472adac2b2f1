"""X3D: builds the model from a case's configuration (PySlowFast's or PyTorchVideo's) and answers its outputs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.conformance.adapters.parts import checked_parameters, slices, state_tensors
from tests.conformance.conformance import inputs_of
from vidmodels.backbones.x3d import X3DConfig, round_width
from vidmodels.backbones.x3d_weights import CAFFE2, PYSLOWFAST, load_tensors
from vidmodels.core.errors import ConfigError
from vidmodels.systems.x3d.builders import x3d
from vidmodels.weights.patterns import Format, translate

CROPS = {"x3d_xs": 160, "x3d_s": 160, "x3d_m": 224, "x3d_l": 312}


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config = case["config"]
    if "map" in config:
        return {"count": np.asarray([names_that_agree(config["map"])], np.float32)}
    model: Any = build(config, case["state"]).eval()
    load_tensors(model, state_tensors(case), "the case's state")
    checked_parameters(model, case)
    clips = torch.from_numpy(np.asarray(inputs_of(case)["clip"], np.float32))
    maps = stage_maps(model, clips)
    answers = {f"s{i}": each for i, each in enumerate(maps, 1)} | {f"s{i}_pathway0": each for i, each in enumerate(maps, 1)}
    answers |= {f"block{i}": each for i, each in enumerate(maps)}
    return slices(answers | head_answers(model, maps[-1:], config.get("head_act", config.get("head_activation"))), case)


def stage_maps(model: Any, clips: Tensor) -> list[Tensor]:
    """The maps after the stem and each of the four stages."""
    maps: list[Tensor] = []
    parts = [model.backbone.stem, *model.backbone.stages]
    handles = [part.register_forward_hook(lambda _module, _inputs, out: maps.append(out.clone())) for part in parts]
    model.backbone(clips)
    for handle in handles:
        handle.remove()
    return maps


def head_answers(model: Any, maps: list[Tensor], activation: str | None) -> dict[str, Tensor]:
    """Features, logits, and what the reference returns: its activation at each position, then the mean over them."""
    each = model.head.projection(model.head.positions(maps))
    activated = {"softmax": each.softmax(-1), "sigmoid": each.sigmoid()}.get(str(activation), each)
    answers = {"features": model.head.pool(maps), "logits": each.mean(1), "output": activated.mean(1)}
    ours = model.head(maps)
    ours = {"softmax": ours.softmax(-1), "sigmoid": ours.sigmoid()}.get(str(activation), ours)
    if not torch.allclose(ours, answers["output"], atol=1e-5, rtol=1e-4):
        raise ConfigError("what the model says after its activation is not the mean of its positions' answers")
    return answers


def build(config: dict, state: dict[str, Any]) -> nn.Module:
    """The model that a configuration of either code describes."""
    activation = config.get("head_act", config.get("head_activation"))
    common = {
        "num_classes": config["num_classes"],
        "activation": "sigmoid" if activation == "sigmoid" else "softmax",
        "average": "scores" if activation in ("softmax", "sigmoid") else "logits",
    }
    if "builder" in config:
        crop = config.get("input_crop_size", CROPS.get(config["builder"], 224))
        return x3d(config.get("input_clip_length", 16), crop, **common, **network_of(state))
    return x3d(
        config["num_frames"],
        config.get("head_pool_from_train_crop", config.get("input_crop")),
        head_dim=config["dim_c5"],
        lin_norm=config.get("bn_lin5", False),
        width_factor=config["width_factor"],
        depth_factor=config["depth_factor"],
        bottleneck_factor=config["bottleneck_factor"],
        base_dim=config["dim_c1"],
        se_ratio=config.get("se_ratio", 0.0625),
        scale_res2=config.get("scale_res2", False),
        **common,
    )


def network_of(state: dict[str, Any]) -> dict[str, Any]:
    """The settings of the network, which PyTorchVideo's configurations leave to defaults, read from the state's shapes."""
    block = r"blocks\.{0}\.res_blocks\.(\d+)\."
    stages = [_found(state, block.format(i) + r"branch2\.conv_a\.weight") for i in (1, 2, 3, 4)]
    hidden = [_found(state, block.format(i) + r"branch2\.norm_b\.1\.block\.0\.weight") for i in (1, 2, 3, 4)]
    stem, inner = stages[0][0][1], tuple(stage[0][0] for stage in stages)
    squeezed = tuple(shapes[0][0] for shapes in hidden if shapes)
    # what comes out of res2 to res4 goes into the next stage, what comes out of res5 is in its last convolutions
    dims = (*(stage[0][1] for stage in stages[1:]), _found(state, block.format(4) + r"branch2\.conv_c\.weight")[0][0])
    widths = (X3DConfig(width_factor=i / 100) for i in (200, *range(25, 800)))
    bottlenecks = (i / 400 for i in (900, *range(100, 4000)))
    ratios = (i / 256 for i in (16, *range(1, 257)))
    return {
        "width_factor": next(c.width_factor for c in widths if (c.stem_dim, c.dims) == (stem, dims)),
        "base_depths": tuple(len(stage) for stage in stages),
        "depth_factor": 1.0,
        "bottleneck_factor": next(b for b in bottlenecks if tuple(int(b * dim) for dim in dims) == inner),
        "se_ratio": next(r for r in ratios if tuple(round_width(dim, r) for dim in inner) == squeezed) if squeezed else 0.0,
        "head_dim": _found(state, r"blocks\.5\.pool\.(post_conv)\.weight")[0][0],
        "lin_norm": bool(_found(state, r"blocks\.5\.pool\.(post_norm)\.weight")),
        "res2_shortcut_norm": bool(_found(state, block.format(1) + r"branch1_norm\.weight")),
    }


def _found(state: dict[str, Any], pattern: str) -> list[list[int]]:
    """Shapes of the keys that fit, in the order of the number in them."""
    fits = {match[1]: state[key]["shape"] for key in state if (match := re.fullmatch(pattern, key))}
    return [fits[number] for number in sorted(fits, key=lambda number: (len(number), number))]


def names_that_agree(names: dict[str, str]) -> int:
    """Caffe2 names that lead to the same key of ours as the PySlowFast key beside them."""
    return sum(ours_of(blob, CAFFE2) == ours_of(key, PYSLOWFAST) is not None for blob, key in names.items())


def ours_of(key: str, form: Format) -> str | None:
    """Our key of one key of a format."""
    return next(iter(translate({key: torch.zeros(1)}, form).tensors), None)
