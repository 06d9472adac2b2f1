"""Small models of the X3D family for the tests, and their states under the published names, written apart from the tables."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from vidmodels.zoo import create_model

TINY = {
    "width_factor": 1.0, "depth_factor": 1.0, "base_depths": (3, 1, 2, 1), "bottleneck_factor": 2.25, "head_dim": 32,
    "num_classes": 5, "num_frames": 4, "size": 64,
}  # fmt: skip


def tiny(name: str = "x3d_m", seed: int = 0, **changes: Any) -> Any:
    """A model of the zoo made small, in evaluation, with noise on all parameters and statistics."""
    torch.manual_seed(seed)
    return stirred(create_model(name, **{**TINY, **changes}), seed)


def stirred(model: Any, seed: int = 0) -> Any:
    """The model in evaluation with norms and biases that do something: zeros and ones of a fresh one hide mistakes."""
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for key, value in [*model.named_parameters(), *model.named_buffers()]:
            noise = torch.randn(value.shape, generator=generator)
            if key.endswith("running_var"):
                value.copy_(1 + 0.2 * noise.abs())
            elif key.endswith(("running_mean", "bias")):
                value.copy_(0.1 * noise)
            elif value.ndim == 1 and "norm" in key:
                value.copy_(1 + 0.1 * noise)
    return model.eval()


def clips(n: int = 2, frames: int = 4, size: int = 64, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


def pyslowfast_of(model: Any) -> dict[str, Tensor]:
    """A model's state under PySlowFast's names, whose squeeze-and-excitation and lin_5 are 1x1x1 convolutions."""
    found = {}
    for key, value in model.state_dict().items():
        key = key.removeprefix("backbone.")
        key = key.replace("stem.norm.", "stem.bn.").replace("stem.", "s1.pathway0_stem.", 1)
        key = re.sub(r"^res(\d)\.(\d+)\.", r"s\1.pathway0_res\2.", key)
        key = key.replace("shortcut.conv", "branch1").replace("shortcut.norm", "branch1_bn")
        key = re.sub(r"\.conv_([abc])\.", r".branch2.\1.", key)
        key = re.sub(r"\.norm_([abc])\.", r".branch2.\1_bn.", key)
        key = key.replace(".se.", ".branch2.se.").replace("head.norm_5", "head.conv_5_bn").replace("lin_norm", "lin_5_bn")
        found[key] = as_convolution(key, value.clone())
    return found


def pytorchvideo_of(model: Any) -> dict[str, Tensor]:
    """A model's state under PyTorchVideo's names: conv_t of the stem is the one in space."""
    found = {}
    for key, value in model.state_dict().items():
        key = key.removeprefix("backbone.")
        key = key.replace("stem.conv.", "blocks.0.conv.XY.").replace("stem.conv_xy.", "blocks.0.conv.conv_t.")
        key = key.replace("conv.XY.", "conv.conv_xy.").replace("stem.norm.", "blocks.0.norm.")
        key = re.sub(r"^res(\d)\.(\d+)\.", lambda m: f"blocks.{int(m[1]) - 1}.res_blocks.{m[2]}.", key)
        key = key.replace("shortcut.conv", "branch1_conv").replace("shortcut.norm", "branch1_norm")
        key = key.replace(".norm_b.", ".branch2.norm_b.0.")
        key = re.sub(r"\.(conv_[abc]|norm_[ac])\.", r".branch2.\1.", key)
        key = key.replace(".se.fc1.", ".branch2.norm_b.1.block.0.").replace(".se.fc2.", ".branch2.norm_b.1.block.2.")
        key = key.replace("head.conv_5", "blocks.5.pool.pre_conv").replace("head.norm_5", "blocks.5.pool.pre_norm")
        key = key.replace("head.lin_5", "blocks.5.pool.post_conv").replace("head.projection", "blocks.5.proj")
        found[key] = as_convolution(key, value.clone())
    return found


def efficient_of(model: Any) -> dict[str, Tensor]:
    """A model's state under EfficientX3D's names."""
    found = {}
    for key, value in model.state_dict().items():
        key = key.removeprefix("backbone.")
        key = key.replace("stem.norm.", "s1.pathway0_stem_conv.kernel.bn.")
        key = re.sub(r"^stem\.(conv|conv_xy)\.", r"s1.pathway0_stem_\1.kernel.conv.", key)
        key = re.sub(r"^res(\d)\.(\d+)\.", r"s\1.pathway0_res\2.", key)
        key = key.replace("shortcut.conv", "_res_proj.kernel.conv").replace("shortcut.norm", "_res_proj.kernel.bn")
        for number, letter in enumerate("abc"):
            key = key.replace(f".conv_{letter}.", f".layers.conv_{number}.kernel.conv.")
            key = key.replace(f".norm_{letter}.", f".layers.conv_{number}.kernel.bn.")
        key = key.replace(".se.fc1.", ".layers.se.se.block.0.").replace(".se.fc2.", ".layers.se.se.block.2.")
        key = re.sub(r"^head\.(conv|lin)_5\.", r"head.\1_5.kernel.conv.", key)
        key = key.replace("head.norm_5.", "head.conv_5.kernel.bn.").replace("head.projection", "projection.model")
        found[key] = as_convolution(key, value.clone())
    return found


def as_convolution(key: str, value: Tensor) -> Tensor:
    """Published files keep squeeze-and-excitation and lin_5 as 1x1x1 convolutions."""
    pooled = re.search(r"se\.fc\d\.weight|lin_5\.(kernel\.conv\.)?weight|block\.\d\.weight|post_conv\.weight", key)
    return value[..., None, None, None] if pooled else value
