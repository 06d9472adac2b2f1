"""MAE-ST: builds the model from a case's configuration (of either reference code) and answers its outputs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.conformance import inputs_of, state_of
from vidmodels.backbones.vit import ViTConfig
from vidmodels.heads.reconstruct import DecoderConfig
from vidmodels.ops.patches import normalise_patches
from vidmodels.systems.mae_st.model import MaskedAutoencoder, VideoClassifier, masked_mean_squared_error
from vidmodels.systems.mae_st.weights import load_tensors

SIZES = {"small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16), "huge": (1280, 32, 16)}


@torch.no_grad()
def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config = case["config"]
    keys = case["state"]
    masked = "mask_token" in keys
    model = (_masked if masked else _classifier)(config, keys).eval()
    state = {key: torch.from_numpy(np.asarray(value)) for key, value in state_of(case).items()}
    load_tensors(model, state, "the case's state")
    expected = case.get("params")
    count = sum(p.numel() for p in model.parameters())
    if expected is not None and count != expected:
        raise KeyError(f"the model has {count} parameters, the reference {expected}")
    inputs = inputs_of(case)
    video = torch.from_numpy(inputs["video"])
    answers = _run_masked(model, config, video, inputs) if masked else _run_classifier(model, video)
    return {key: value.float().numpy() for key, value in answers.items()}


def _run_classifier(model: VideoClassifier, video: Tensor) -> dict[str, Tensor]:
    answers: dict[str, Tensor] = {}
    handles = [
        block.register_forward_hook(lambda _m, _i, out, i=i: answers.update({f"block_{i}_mean": out.mean(-1), "last": out}))
        for i, block in enumerate(model.encoder.blocks)
    ]
    answers["logits"] = model(video)
    for handle in handles:
        handle.remove()
    last = answers.pop("last")
    return {**answers, "last_tokens": last[:, ::24, ::8], "probabilities": answers["logits"].softmax(-1)}


def _run_masked(model: MaskedAutoencoder, config: dict, video: Tensor, inputs: dict[str, Any]) -> dict[str, Tensor]:
    pyslowfast = "embed_dim" in config
    kind = "normalised" if config.get("norm_pred_pixel", config.get("norm_pix_loss", True)) else "pixel"
    noise = torch.from_numpy(np.asarray(inputs["noise"]))
    out = model(video, config["mask_ratio"], target=kind, noise=noise)
    grid = model.encoder.grid_of(video)
    pixels = model.target_pixels(video)
    answers = {"loss": out.loss, "mask": out.masking.mask}
    answers["loss_unnormalised_target"] = masked_mean_squared_error(out.prediction, pixels, out.masking.mask)
    answers["loss_normalised_target"] = masked_mean_squared_error(
        out.prediction, normalise_patches(pixels)[0], out.masking.mask
    )
    if pyslowfast:
        dropped = out.masking.mask.bool()
        answers["latent"] = out.latent[:, ::4, ::8]
        answers["prediction"] = out.prediction[dropped][::23, ::8]
        answers["target"] = out.target[dropped][::23, ::8]
    else:
        first = int(model.encoder.config.class_token)
        answers["latent"] = out.latent[:, first:][:, ::4, ::16]
        answers["prediction"] = out.prediction[:, ::49, ::8]
        answers["target"] = out.target[:, ::49, ::8]
        cls = [model.encoder.pos.cls] if first else []
        answers["pos_term"] = torch.cat([*cls, model.encoder.pos.tokens(grid)], dim=1)[:, ::29, ::16]
    return answers


def _encoder(config: dict, keys: dict) -> ViTConfig:
    if "embed_dim" in config:
        patch = tuple(config["patch_kernel"])
        return ViTConfig(
            config["embed_dim"], config["depth"], config["num_heads"], config["num_frames"], config["crop"],
            patch if len(patch) == 3 else (1, *patch), config["mlp_ratio"], config["qkv_bias"], config["cls_embed_on"],
            config["sep_pos_embed"],
        )  # fmt: skip
    word, side = re.search(r"vit_(\w+?)_patch(\d+)", config["model"]).groups()
    dim, depth, heads = SIZES[word]
    return ViTConfig(
        config.get("embed_dim", dim), config.get("depth", depth), config.get("num_heads", heads), config["num_frames"],
        config.get("img_size", config.get("crop", 224)), (config["t_patch_size"], int(side), int(side)),
        qkv_bias=any(re.fullmatch(r"blocks\.0\.attn\.(q|qkv)\.bias", key) for key in keys),
        class_token=config.get("cls_embed", "cls_token" in keys), separable=config.get("sep_pos_embed", True),
    )  # fmt: skip


def _masked(config: dict, keys: dict) -> MaskedAutoencoder:
    encoder = _encoder(config, keys)
    if "embed_dim" in config:
        decoder = DecoderConfig(
            config["decoder_embed_dim"], config["decoder_depth"], config["decoder_heads"], config["mlp_ratio"],
            own_class_token=False, separable=config["decoder_sep_pos_embed"],
        )  # fmt: skip
        frames = encoder.num_frames // encoder.patch[0] if config.get("time_stride_loss", True) else None
        return MaskedAutoencoder(encoder, decoder, frames, "stride")
    decoder = DecoderConfig(
        config["decoder_embed_dim"], config["decoder_depth"], config["decoder_num_heads"],
        own_class_token=True, separable=config.get("sep_pos_embed", True),
    )  # fmt: skip
    return MaskedAutoencoder(encoder, decoder, config.get("pred_t_dim", encoder.num_frames // encoder.patch[0]))


def _classifier(config: dict, keys: dict) -> VideoClassifier:
    mean = config.get("use_mean_pooling", True) or not config.get("cls_embed_on", True)
    return VideoClassifier(
        _encoder(config, keys), config["num_classes"], config.get("dropout", 0.0), "mean" if mean else "class"
    )
