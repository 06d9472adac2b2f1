"""Small audiovisual models, their inputs, and their states under foreign names, for the tests."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from tests.systems.mae_st.parts import stirred
from vidmodels.zoo import create_model

TINY = {
    "width": 8, "depth": (1, 2, 1, 1), "beta_inv": 4, "num_classes": 5, "size": 32, "num_frames": 16, "audio_rows": 64,
}  # fmt: skip


def tiny(name: str = "avslowfast_r50_4x16", seed: int = 0, **changes: Any) -> Any:
    """A model of the zoo made small, with noise on all parameters and statistics."""
    torch.manual_seed(seed)
    model = stirred(create_model(name, **{**TINY, **changes}), seed)
    generator = torch.Generator().manual_seed(seed + 2)
    with torch.no_grad():
        for key, buffer in model.named_buffers():
            if key.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif key.endswith("running_var"):
                buffer.copy_(1 + 0.1 * torch.rand(buffer.shape, generator=generator))
    return model


def clips(n: int = 2, frames: int = 16, size: int = 32, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


def sounds(n: int = 2, rows: int = 64, mels: int = 40, seed: int = 1) -> Tensor:
    return torch.randn(n, 1, rows, mels, generator=torch.Generator().manual_seed(seed))


def authors_state(model: Any) -> dict[str, Tensor]:
    """A model's state under the names of the authors' code, written here apart from the tables under test."""
    found = {}
    for key, value in model.state_dict().items():
        key = re.sub(r"^backbone\.laterals\.(\d)\.conv", lambda m: f"s{int(m[1]) + 1}_fuse.conv_f2s", key)
        key = re.sub(r"^backbone\.laterals\.(\d)\.norm", lambda m: f"s{int(m[1]) + 1}_fuse.bn_f2s", key)
        key = re.sub(r"^backbone\.audio_laterals\.(\d)\.convs", lambda m: f"s{int(m[1]) + 1}_fuse.a2fs", key)
        key = re.sub(r"^sync\.(stem|res(\d))\.", lambda m: f"s{m[2] or 1}_fuse.", key)
        key = re.sub(r"_fuse\.(visual|audio)\.", lambda m: f"_fuse.avs.{'ref' if m[1] == 'visual' else 'query'}_fc.", key)
        key = key.replace("fast_to_slow.conv", "conv_f2s").replace("fast_to_slow.norm", "bn_f2s")
        key = re.sub(r"(?:audio_to_slow\.convs|a2fs)\.(\d)\.conv", r"conv_a2fs_\1", key)
        key = re.sub(r"(?:audio_to_slow\.convs|a2fs)\.(\d)\.norm", r"bn_a2fs_\1", key)
        for number, path in enumerate(("slow", "fast", "audio")):
            start = f"backbone.{path}."
            if key.startswith(start):
                key = _authors_pathway(key.removeprefix(start), f"pathway{number}", model)
        found[key] = value.clone()
    return found


def _authors_pathway(key: str, path: str, model: Any) -> str:
    key = key.replace("stem.conv_m", "stem.conv_f")
    key = re.sub(r"^stem\.norm", f"s1.{path}_stem.bn", re.sub(r"^stem\.conv", f"s1.{path}_stem.conv", key))
    key = re.sub(r"^res(\d)\.(?:blocks\.)?(\d+)\.", rf"s\1.{path}_res\2.", key)
    key = key.replace("shortcut.conv", "branch1").replace("shortcut.norm", "branch1_bn")
    key = re.sub(r"\.conv_([abc])\.", r".branch2.\1.", key)
    key = re.sub(r"\.norm_([abc])\.", r".branch2.\1_bn.", key)
    if path == "pathway2" and "branch" not in key and "stem" not in key:
        stage = int(key[1]) - 2
        wide = model.backbone.audio.config.stages[stage].form == "wide"
        names = {"b.time": "t", "b.mel": "f", "c": "out"} if wide else {"b.time": "b_t", "b.mel": "b_f", "c": "c"}
        block, rest = re.match(r"(s\d\.pathway2_res\d+\.)(.+)", key).groups()  # type: ignore[union-attr]
        part, kind, leaf = re.match(r"(a|b\.time|b\.mel|b|c)\.(conv|norm)\.(.+)", rest).groups()  # type: ignore[union-attr]
        key = f"{block}branch2.{names.get(part, part)}{'' if kind == 'conv' else '_bn'}.{leaf}"
    return key


def pytorchvideo_state(model: Any) -> dict[str, Tensor]:
    """A model's state under PyTorchVideo's names and with the spectrogram's time on the axis of the frames."""
    found = {}
    for key, value in model.state_dict().items():
        if "audio" in key and value.ndim == 5:
            value = value.transpose(2, 3)
        key = re.sub(r"^backbone\.laterals\.(\d)\.conv", r"blocks.\1.multipathway_fusion.block_fast_to_slow.0", key)
        key = re.sub(r"^backbone\.laterals\.(\d)\.norm", r"blocks.\1.multipathway_fusion.block_fast_to_slow.1", key)
        key = re.sub(
            r"^backbone\.audio_laterals\.(\d)\.convs\.(\d)\.(conv|norm)",
            lambda m: f"blocks.{m[1]}.multipathway_fusion.block_audio_to_fastslow.{3 * int(m[2]) + (m[3] == 'norm')}",
            key,
        )
        for number, path in enumerate(("slow", "fast", "audio")):
            way = f"multipathway_blocks.{number}"
            key = key.replace(f"backbone.{path}.stem.conv_t", f"blocks.0.{way}.conv.convs.0")
            key = key.replace(f"backbone.{path}.stem.conv_m", f"blocks.0.{way}.conv.convs.1")
            key = key.replace(f"backbone.{path}.stem.", f"blocks.0.{way}.")
            key = re.sub(
                rf"^backbone\.{path}\.res(\d)\.(?:blocks\.)?(\d+)\.",
                lambda m, way=way: f"blocks.{int(m[1]) - 1}.{way}.res_blocks.{m[2]}.",
                key,
            )
        key = key.replace("shortcut.conv", "branch1_conv").replace("shortcut.norm", "branch1_norm")
        key = re.sub(r"\.((?:conv|norm)_[abc])\.", r".branch2.\1.", key)
        key = re.sub(r"(res_blocks\.\d+)\.b\.(time|mel)\.(conv|norm)", _separable, key)
        key = re.sub(r"(res_blocks\.\d+)\.([abc])\.(conv|norm)", r"\1.branch2.\3_\2", key)
        found[key.replace("head.projection", "blocks.6.proj")] = value.clone()
    return found


def _separable(match: re.Match) -> str:
    block, part, kind = match.groups()
    return f"{block}.branch2.{kind}_b.{0 if part == 'mel' else 1}"
