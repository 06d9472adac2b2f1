"""PyTorchVideo: builds the model that a case's configuration and shapes describe, and answers its outputs."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.conformance.adapters import pytorchvideo_functions
from tests.conformance.adapters.parts import checked_parameters, slices, state_tensors
from tests.conformance.adapters.slowfast import build as build_slowfast
from tests.conformance.conformance import inputs_of
from vidmodels.core.errors import ConfigError
from vidmodels.systems.pytorchvideo import weights
from vidmodels.systems.pytorchvideo.builders import csn, r2plus1d
from vidmodels.systems.slowfast import weights as slowfast_weights

ELSEWHERE = {"efficient_x3d": "efficient_x3d", "x3d": "x3d", "mvit": "mvit", "slowfast": "slowfast"}
BLOCK = re.compile(r"block(\d+)")


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config = case["config"]
    if "builder" not in config:
        return pytorchvideo_functions.run(case)
    for name, adapter in ELSEWHERE.items():
        if config["builder"].startswith(name):
            return importlib.import_module(f"tests.conformance.adapters.{adapter}").run(case)
    model, load_tensors = build(config, case["state"])
    model.eval()
    load_tensors(model, state_tensors(case), "the case's state")
    checked_parameters(model, case)
    inputs = {key: torch.from_numpy(np.asarray(value, np.float32)) for key, value in inputs_of(case).items()}
    return slices(_answers(model, inputs, config), case)


def build(config: dict, state: dict[str, Any]) -> tuple[Any, Any]:
    """The model of a configuration and the function that loads its state."""
    own = {"csn": csn, "r2plus1d": r2plus1d}
    kind = config["builder"].split("_")[0]
    if kind not in own:
        return build_slowfast(config, state), slowfast_weights.load_tensors
    window = config.get("head_pool_kernel_size", [4, 7, 7])
    model = own[kind](
        depth=_depth(state),
        width=state["blocks.0.conv.weight"]["shape"][0],
        num_classes=state["blocks.5.proj.weight"]["shape"][0],
        size=32 * window[-1],
    )
    return model, weights.load_tensors


def _depth(state: dict[str, Any]) -> tuple[int, ...]:
    """Blocks of each stage."""
    found: dict[int, int] = {}
    for key in state:
        if match := re.fullmatch(r"blocks\.(\d+)\.res_blocks\.(\d+)\.branch2\.conv_a\.weight", key):
            found[int(match[1])] = max(found.get(int(match[1]), 0), int(match[2]) + 1)
    return tuple(found[stage] for stage in sorted(found))


def _answers(model: Any, inputs: dict[str, Tensor], config: dict) -> dict[str, Tensor]:
    """Maps after the stem and each stage by PyTorchVideo's numbers, and the output with the activation that it has."""
    answers: dict[str, Tensor] = {}
    backbone = model.backbone
    parts: list[nn.Module] = [backbone.stem, *backbone.stages]

    def note(number: int):
        return lambda _module, _inputs, out: answers.update({f"block{number}": out})

    # the pooling after res2 is a block of its own
    pooled = max(backbone.config.pool1) > 1
    handles = [part.register_forward_hook(note(i + int(pooled and i > 1))) for i, part in enumerate(parts)]
    activation = config.get("head_activation") or config.get("head_act") or "none"
    if "boxes" in inputs:
        logits = model(inputs["clip"], inputs["boxes"])
        answers["backbone"] = backbone.maps(inputs["clip"])[0]
    else:
        logits = model(inputs["clip"])
    for handle in handles:
        handle.remove()
    return {**answers, "logits": logits, "output": _activated(logits, activation)}


def _activated(logits: Tensor, activation: str) -> Tensor:
    if activation.startswith("softmax"):
        return logits.softmax(-1)
    if activation.startswith("sigmoid"):
        return logits.sigmoid()
    if activation in ("none", "identity"):
        return logits
    raise ConfigError(f"the case's head has the activation {activation!r}, which is not known")
