"""MaskFeat: builds the model from a case's configuration and answers its outputs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.adapters.mvit_parts import answer, noted, read_config
from tests.conformance.adapters.parts import checked_parameters, cut, state_tensors
from tests.conformance.conformance import inputs_of
from vidmodels.backbones.mvit_weights import read_tensors
from vidmodels.core.errors import ConfigError
from vidmodels.losses.feature_targets import make_target
from vidmodels.ops.block_masking import to_grid
from vidmodels.ops.hog import hog
from vidmodels.systems.maskfeat.model import MaskedFeaturePredictor
from vidmodels.systems.maskfeat.weights import FORMATS, load_tensors


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config = case["config"]
    if not case["state"]:
        return _operator(case)
    if "mask_token" not in case["state"]:
        return answer(case, FORMATS, load_tensors)
    state, inputs = state_tensors(case), inputs_of(case)
    clips = next(torch.from_numpy(np.asarray(v, np.float32)) for name, v in inputs.items() if name != "mask")
    tensors, report = read_tensors(state, FORMATS, "the case's state")
    encoder = read_config({**config, "use_mean_pooling": True}, report.format, tensors, clips)
    depths = tuple(config.get("pretrain_depth") or [encoder.depth - 1])
    widths = tuple(len(tensors[f"heads.{i}.projection.bias"]) for i in range(len(depths)))
    mask = _mask(case, inputs["mask"], encoder.is_image)
    model = MaskedFeaturePredictor(encoder, widths, depths, clips.shape[-1] // mask.shape[-1]).eval()
    load_tensors(model, state, "the case's state")
    checked_parameters(model, case)
    answers: dict[str, Tensor] = {}
    for i, block in enumerate(model.backbone.layers):
        block.register_forward_hook(noted(answers, i))
    predictions = model(clips, mask)
    answers["last_block"] = answers["last_tokens"]
    answers |= _compared(case, model, clips, mask, predictions)
    texts = case.get("outputs", {})
    return {key: cut(value, texts.get(key, "")).float().numpy() for key, value in answers.items()}


def _compared(
    case: dict, model: MaskedFeaturePredictor, clips: Tensor, mask: Tensor, predictions: list[Tensor]
) -> dict[str, Tensor]:
    """Predictions and targets of masked tokens, and the loss: the sum over depths."""
    config, encoder = case["config"], model.backbone.config
    if not config.get("time_stride_loss", True):
        raise ConfigError("targets of all frames are not supported: no published model has them")
    kind = "hog" if config.get("pred_hog") else "pixel"
    whole = clips.unsqueeze(2) if clips.ndim == 4 else clips
    found: dict[str, Tensor] = {"loss": torch.zeros(())}
    for depth, prediction in zip(model.depths, predictions):
        t, h, w = prediction.shape[1:4]
        stride = encoder.stride_after(depth)
        target = make_target(kind, stride, encoder.is_image, config.get("norm_pred_pixel", True))
        masked = to_grid(mask, (t, h, w))
        answer, wanted = prediction.flatten(1, 3)[masked], target.of(whole, (t, h, w))[masked]
        found |= {"prediction": answer, "target": wanted, "loss": found["loss"] + target.loss(answer, wanted).mean()}
    return found


def _mask(case: dict, noise: Any, image: bool) -> Tensor:
    """Bool [N, T, H, W] of a case's noise, by the rule that its text gives: the smallest are masked."""
    values = torch.from_numpy(np.asarray(noise, np.float32))
    said = re.search(r"round\(([\d.]+) x numel\)", case["inputs"]["mask"].get("then", ""))
    count = round(float(said[1] if said else case["config"]["mask_ratio"]) * values[0].numel())
    rank = values.flatten(1).argsort(dim=1, stable=True).argsort(dim=1, stable=True)
    mask = (rank < count).view(values.shape)
    return mask.unsqueeze(1) if image and mask.ndim == 3 else mask


def _operator(case: dict) -> dict[str, np.ndarray]:
    config = case["config"]
    if config.get("window", "none") != "none":
        raise ConfigError("a window over the cells is not supported: the published models have none")
    frames = torch.from_numpy(np.asarray(next(iter(inputs_of(case).values())), np.float32))
    return {"hog": hog(frames, config.get("bins", 9), config.get("cell", 8)).numpy()}
