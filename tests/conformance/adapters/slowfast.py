"""SlowFast family: builds the model from a case's configuration (PySlowFast's or PyTorchVideo's) and answers its outputs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.conformance.adapters.parts import checked_parameters, slices, state_tensors
from tests.conformance.conformance import inputs_of
from vidmodels.core.errors import ConfigError
from vidmodels.systems.slowfast.builders import single_pathway, slowfast
from vidmodels.systems.slowfast.weights import CAFFE2_ONE, CAFFE2_TWO, PYSLOWFAST_ONE, PYSLOWFAST_TWO, load_tensors
from vidmodels.weights.patterns import Format, translate

STAGE = re.compile(r"s([2-5])_pathway([01])")


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config = case["config"]
    if "map" in config:
        return {"count": np.asarray([names_that_agree(config["map"])], np.float32)}
    model = build(config, case["state"]).eval()
    load_tensors(model, state_tensors(case), "the case's state")
    checked_parameters(model, case)
    inputs = {key: torch.from_numpy(np.asarray(value, np.float32)) for key, value in inputs_of(case).items()}
    clips = [inputs[key] for key in ("slow", "fast", "clip") if key in inputs]
    maps = model.backbone(clips)
    # PyTorchVideo's detector joins its pathways after their mean over time
    joined = torch.cat([each.mean(2, keepdim=True) for each in maps], dim=1) if len(maps) > 1 else maps[0]
    answers = _stages(model, clips) | {"backbone": joined}
    if "boxes" in inputs:
        pooled = model.head.pool(maps, inputs["boxes"])
        logits = model.head(maps, inputs["boxes"])
        answers |= {"roi_features": pooled, "logits": logits, "output": logits.sigmoid()}
    else:
        each = model.head.projection(model.head.positions(maps))
        activated = {"softmax": each.softmax(-1), "sigmoid": each.sigmoid()}.get(config.get("head_act"), each)
        answers |= {"logits": each.mean(1), "output": activated.mean(1)}
        scores = torch.softmax(model(clips), 1) if config.get("head_act") == "softmax" else None
        if scores is not None and not torch.allclose(scores, answers["output"], atol=1e-6):
            raise ConfigError("what the model says after a softmax is not the mean of its positions' scores")
    return slices(answers, case)


def build(config: dict, state: dict[str, Any]) -> Any:
    """The model that a configuration of either code describes."""
    if "builder" in config:
        return _pytorchvideo(config, state)
    two = config["model"] == "SlowFast"
    blocks = list(zip(*config["num_block_temp_kernel"]))
    settings: dict[str, Any] = {
        "depth": config["depth"],
        "width": config["width_per_group"],
        "groups": config["num_groups"],
        "strides": tuple(s[0] for s in config["spatial_strides"]),
        "dilations": tuple(d[0] for d in config["spatial_dilations"]),
        "temporal_blocks": blocks[0],
        "non_local_after": tuple(stage[0] for stage in config["nonlocal_location"]),
        "non_local_pool": tuple(stage[0] for stage in config["nonlocal_pool"]),
        "non_local_group": tuple(stage[0] for stage in config["nonlocal_group"]),
        "non_local_affinity": config["nonlocal_instantiation"],
        "num_classes": config["num_classes"],
        "num_frames": config["num_frames"],
        "block": "basic" if config.get("trans_func") == "basic_transform" else "bottleneck",
        "detection": config.get("detection", False),
        "activation": "sigmoid" if config["head_act"] == "sigmoid" else "softmax",
        "size": config.get("head_pool_from_train_crop"),
        "roi_aligned": config.get("roi_aligned", True),
    }
    if not two:
        return single_pathway(config["arch"], **settings)
    return slowfast(
        config["alpha"], config["beta_inv"], config["fusion_kernel"], config["fusion_conv_channel_ratio"], blocks[1], **settings
    )


def _pytorchvideo(config: dict, state: dict[str, Any]) -> nn.Module:
    """PyTorchVideo's builders; depths and temporal blocks are read from the shapes of the state."""
    detection = "roi_resolution" in config
    two = any("multipathway_blocks" in key for key in state)
    block = r"multipathway_blocks\.{}\." if two else "{}"
    settings: dict[str, Any] = {
        "num_classes": config["num_classes"],
        "num_frames": config.get("num_frames", 32),
        "detection": detection,
        "depth": _depth(state, block.format(0 if two else "")),
        "temporal_blocks": _temporal(state, block.format(0 if two else "")),
        "activation": config.get("head_activation", "softmax"),
        "average": "logits",
        "roi_aligned": config.get("roi_aligned", False),
    }
    kernels = config.get("head_pool_kernel_sizes") or [config.get("head_pool_kernel_size", [0, 7, 7])]
    settings["size"] = 32 * kernels[0][1]
    if not two:
        return single_pathway(config["builder"].split("_")[0], **settings)
    lateral = next(v["shape"] for k, v in state.items() if k.endswith("blocks.0.multipathway_fusion.conv_fast_to_slow.weight"))
    stem = {p: next(v["shape"][0] for k, v in state.items() if k.endswith(f"blocks.0.multipathway_blocks.{p}.conv.weight"))
            for p in (0, 1)}  # fmt: skip
    return slowfast(
        config.get("alpha", 4), stem[0] // stem[1], lateral[2], lateral[0] // lateral[1], _temporal(state, block.format(1)),
        **settings,
    )  # fmt: skip


def _depth(state: dict[str, Any], block: str) -> tuple[int, ...]:
    return tuple(len(kernels) for kernels in _kernels(state, block))


def _temporal(state: dict[str, Any], block: str) -> tuple[int, ...]:
    """Blocks of each stage up to the last with a kernel over time; all of a stage that has none."""
    last = [max((i + 1 for i, k in enumerate(kernels) if k > 1), default=len(kernels)) for kernels in _kernels(state, block)]
    return tuple(last)


def _kernels(state: dict[str, Any], block: str) -> list[list[int]]:
    """Frames of each block's convolution a, stage by stage."""
    found: dict[int, dict[int, int]] = {}
    for key, value in state.items():
        match = re.fullmatch(rf"(?:model\.)?blocks\.(\d+)\.{block}res_blocks\.(\d+)\.branch2\.conv_a\.weight", key)
        if match:
            found.setdefault(int(match[1]), {})[int(match[2])] = value["shape"][2]
    return [[stage[i] for i in sorted(stage)] for _, stage in sorted(found.items())]


def _stages(model: Any, clips: list[Tensor]) -> dict[str, Tensor]:
    """Outputs of res3 whole, and of res5 as means over channels, by the cases' names."""
    answers: dict[str, Tensor] = {}
    paths = [model.backbone.slow, model.backbone.fast] if hasattr(model.backbone, "slow") else [model.backbone]
    handles = []
    for number, path in enumerate(paths):
        for stage in (2, 3, 4, 5):

            def note(_module, _inputs, out, key=f"s{stage}_pathway{number}"):
                answers[key] = out

            handles.append(getattr(path, f"res{stage}").register_forward_hook(note))
    model.backbone(clips)
    for handle in handles:
        handle.remove()
    return answers


def names_that_agree(names: dict[str, str]) -> int:
    """Caffe2 names that lead to the same key of ours as the PySlowFast key beside them."""
    two = any(key.startswith("s1.pathway1") for key in names.values())
    caffe2, pyslowfast = (CAFFE2_TWO, PYSLOWFAST_TWO) if two else (CAFFE2_ONE, PYSLOWFAST_ONE)
    return sum(ours_of(blob, caffe2) == ours_of(key, pyslowfast) is not None for blob, key in names.items())


def ours_of(key: str, form: Format) -> str | None:
    """Our key of one key of a format."""
    return next(iter(translate({key: torch.zeros(1)}, form).tensors), None)
