"""MAE-ST: builds the model from a case's configuration (of either reference code) and answers its outputs.

Geometry is read from the shapes of the case's state, because names of the reference's builders do not tell it (its
`vit_huge_patch14` has patches of 16); what shapes cannot tell (heads, target, pooling) comes from the configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.conformance import inputs_of, state_of
from vidmodels.backbones.vit import ViTConfig
from vidmodels.core.errors import ConfigError
from vidmodels.heads.reconstruct import DecoderConfig
from vidmodels.ops.patches import normalise_patches
from vidmodels.systems.mae_st.model import MaskedAutoencoder, VideoClassifier, masked_mean_squared_error
from vidmodels.systems.mae_st.weights import load_tensors

HEADS = {"small": 6, "base": 12, "large": 16, "huge": 16}
# how the cases slice what they do not keep whole, unless the case itself says otherwise
SLICES = {
    "pyslowfast": {"latent": "[:, ::4, ::8]", "prediction": "[::23, ::8]", "target": "[::23, ::8]"},
    "mae_st": {"latent": "[:, ::4, ::16]", "prediction": "[:, ::49, ::8]", "target": "[:, ::49, ::8]"},
}
COMMON_SLICES = {"last_tokens": "[:, ::24, ::8]", "pos_term": "[:, ::29, ::16]"}


@dataclass(frozen=True)
class Keys:
    """Shapes of the reference's state by key, and what they tell."""

    shapes: dict[str, tuple[int, ...]]

    @property
    def masked(self) -> bool:
        return "mask_token" in self.shapes

    @property
    def class_token(self) -> bool:
        return "cls_token" in self.shapes

    def has(self, pattern: str) -> bool:
        return any(re.fullmatch(pattern, key) for key in self.shapes)

    def count(self, pattern: str) -> int:
        """Different values of the group in the pattern."""
        return len({m[1] for m in (re.fullmatch(pattern, key) for key in self.shapes) if m})


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config = case["config"]
    keys = Keys({key: tuple(value["shape"]) for key, value in case["state"].items()})
    inputs = inputs_of(case)
    video = torch.from_numpy(np.asarray(inputs["video"], np.float32))
    video = video.unsqueeze(2) if video.ndim == 4 else video  # an image model of PySlowFast takes [N, C, H, W]
    model: Any = (_masked if keys.masked else _classifier)(config, keys, video).eval()
    state = {key: torch.from_numpy(np.asarray(value)) for key, value in state_of(case).items()}
    load_tensors(model, state, "the case's state")
    expected = case.get("params")
    count = sum(p.numel() for p in model.parameters())
    if expected is not None and count != expected:
        raise KeyError(f"the model has {count} parameters, the reference {expected}")
    answers = _run_masked(model, config, video, inputs) if keys.masked else _run_classifier(model, config, video)
    form = "pyslowfast" if _of_pyslowfast(config) else "mae_st"
    texts = case.get("outputs", {})
    sliced = {key: _sliced(value, key, texts.get(key, ""), form) for key, value in answers.items()}
    return {key: value.float().numpy() for key, value in sliced.items()}


def _of_pyslowfast(config: dict) -> bool:
    return "patch_kernel" in config or "cls_embed_on" in config


def _sliced(value: Tensor, key: str, text: str, form: str) -> Tensor:
    """The part of an output that the case keeps: what its text says, else the usual one."""
    said = re.search(r"slice (\[[^\]]*\])", text)
    usual = None if "whole" in text else {**COMMON_SLICES, **SLICES[form]}.get(key)
    written = said[1] if said else usual
    if written is None:
        return value
    parts = [[int(n) if n.strip() else None for n in part.split(":")] for part in written.strip("[]").split(",")]
    return value[tuple(slice(*part) for part in parts)]


def _run_classifier(model: VideoClassifier, config: dict, video: Tensor) -> dict[str, Tensor]:
    answers: dict[str, Tensor] = {}

    def note(i: int):
        return lambda _module, _inputs, out: answers.update({f"block_{i}_mean": out.mean(-1), "last_tokens": out})

    handles = [block.register_forward_hook(note(i)) for i, block in enumerate(model.encoder.blocks)]
    logits = model(video)
    for handle in handles:
        handle.remove()
    tokens = answers["last_tokens"]
    if not model.encoder.config.class_token:
        # without a class token the references pool otherwise than our model, which takes the mean of all tokens
        if not _of_pyslowfast(config):
            logits = model.head(model.norm(tokens[:, 1:].mean(1)))  # the first token is cut off all the same
        elif not config["use_mean_pooling"]:
            logits = model.head(model.norm(tokens).mean(1))
    probabilities = logits.softmax(-1)
    if config.get("head_act") == "softmax":
        logits = probabilities
    return {**answers, "logits": logits, "probabilities": probabilities, "pos_term": _positions(model, video)}


def _run_masked(model: MaskedAutoencoder, config: dict, video: Tensor, inputs: dict[str, Any]) -> dict[str, Tensor]:
    kind = "normalised" if config.get("norm_pred_pixel", config.get("norm_pix_loss", False)) else "pixel"
    noise = torch.from_numpy(np.asarray(inputs["noise"], np.float32)).reshape(len(video), -1)
    out = model(video, config["mask_ratio"], target=kind, noise=noise)
    mask, pixels = out.masking.mask, model.target_pixels(video)
    answers = {"loss": out.loss, "mask": mask, "pos_term": _positions(model, video)}
    answers["loss_unnormalised_target"] = masked_mean_squared_error(out.prediction, pixels, mask)
    answers["loss_normalised_target"] = masked_mean_squared_error(out.prediction, normalise_patches(pixels)[0], mask)
    if _of_pyslowfast(config):
        # that code keeps the class token, and answers for the dropped tokens only
        dropped = mask.bool()
        return {**answers, "latent": out.latent, "prediction": out.prediction[dropped], "target": out.target[dropped]}
    first = int(model.encoder.config.class_token)
    return {**answers, "latent": out.latent[:, first:], "prediction": out.prediction, "target": out.target}


def _positions(model: MaskedAutoencoder | VideoClassifier, video: Tensor) -> Tensor:
    pos = model.encoder.pos
    first = [pos.cls] if pos.cls is not None else []
    return torch.cat([*first, pos.tokens(model.encoder.grid_of(video))], dim=1)


def _encoder(config: dict, keys: Keys, video: Tensor) -> ViTConfig:
    if not keys.has(r"pos_embed(_spatial)?"):
        raise ConfigError("a model without position tables is not supported: the case's state has no pos_embed")
    kernel = keys.shapes["patch_embed.proj.weight"]
    patch = (kernel[2] if len(kernel) == 5 else 1, kernel[-2], kernel[-1])
    name = re.search(r"vit_([a-z]+)", config.get("model", ""))
    num_heads = config["num_heads"] if "num_heads" in config else HEADS[name[1]] if name else 0
    if not num_heads:
        raise ConfigError("the configuration tells no number of heads: it has neither num_heads nor a known model")
    return ViTConfig(
        kernel[0], keys.count(r"blocks\.(\d+)\..+"), num_heads, video.shape[2], video.shape[3], patch,
        keys.shapes["blocks.0.mlp.fc1.weight"][0] / kernel[0], keys.has(r"blocks\.0\.attn\.(q|qkv)\.bias"),
        keys.class_token, "pos_embed_spatial" in keys.shapes,
    )  # fmt: skip


def _masked(config: dict, keys: Keys, video: Tensor) -> MaskedAutoencoder:
    encoder = _encoder(config, keys, video)
    pyslowfast = _of_pyslowfast(config)
    block = r"pred_head\.transforms\.0\.(\d+)\.norm1\.weight" if pyslowfast else r"decoder_blocks\.(\d+)\.norm1\.weight"
    first = "pred_head.transforms.0.0" if pyslowfast else "decoder_blocks.0"
    dim = keys.shapes["mask_token"][-1]
    decoder = DecoderConfig(
        dim, keys.count(block), config["decoder_heads" if pyslowfast else "decoder_num_heads"],
        keys.shapes[f"{first}.mlp.fc1.weight"][0] / dim, own_class_token=not pyslowfast,
        separable=keys.has(r"dec(oder)?_pos_embed_spatial"),
    )  # fmt: skip
    steps = encoder.grid[0]
    if not pyslowfast:
        return MaskedAutoencoder(encoder, decoder, config.get("pred_t_dim", 8), "linspace")
    return MaskedAutoencoder(encoder, decoder, steps if config.get("time_stride_loss", True) else None, "stride")


def _classifier(config: dict, keys: Keys, video: Tensor) -> VideoClassifier:
    mean = not _of_pyslowfast(config) or config["use_mean_pooling"] or not keys.class_token
    classes = next(shape[0] for key, shape in keys.shapes.items() if re.fullmatch(r"head\.(projection\.)?weight", key))
    return VideoClassifier(_encoder(config, keys, video), classes, pool="mean" if mean else "class")
