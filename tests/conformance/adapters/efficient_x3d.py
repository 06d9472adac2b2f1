"""EfficientX3D: builds the model from a case's configuration and answers its outputs, of the deployed form too."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.adapters.parts import checked_parameters, slices, state_tensors
from tests.conformance.adapters.x3d import head_answers, stage_maps
from tests.conformance.conformance import inputs_of
from vidmodels.backbones.x3d_weights import load_tensors
from vidmodels.inference.deploy import deploy
from vidmodels.systems.pytorchvideo.efficient_x3d import efficient_x3d


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config = case["config"]
    expansion = config.get("expansion", config["builder"].rsplit("_", 1)[-1].upper())
    activation = config.get("head_act")
    ours: Any = "sigmoid" if activation == "sigmoid" else "softmax"
    model: Any = efficient_x3d(expansion, num_classes=config["num_classes"], activation=ours).eval()
    load_tensors(model, state_tensors(case), "the case's state")
    checked_parameters(model, case)
    clips = torch.from_numpy(np.asarray(inputs_of(case)["clip"], np.float32))
    maps = stage_maps(model, clips)
    answers = {f"s{i}": each for i, each in enumerate(maps, 1)} | head_answers(model, maps[-1:], activation)
    answers["deployed"] = _activated(deploy(model, clips.shape)(clips), activation)
    return slices(answers, case)


def _activated(logits: Tensor, activation: str | None) -> Tensor:
    return {"softmax": logits.softmax(-1), "sigmoid": logits.sigmoid()}.get(str(activation), logits)
