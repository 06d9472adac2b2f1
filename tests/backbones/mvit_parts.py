"""Small multiscale vision transformers, and published layouts of their weights, for the tests."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.backbones.mvit_plain import Shape, random_state
from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.heads.tokens import with_head
from vidmodels.zoo import create_model


def settings_of(s: Shape) -> dict[str, Any]:
    """The settings of `create_model` for a plain model's geometry."""
    kernel, stride, padding = s.patch
    return {
        "dim": s.dim, "depth": s.depth, "num_heads": s.heads, "num_frames": s.frames, "size": s.size, "patch": kernel,
        "patch_stride": stride, "patch_padding": padding, "stage_starts": s.starts, "q_strides": s.q_strides,
        "kv_stride": s.kv_stride, "pool_kernel": s.kernel, "pool_mode": s.mode, "pool_every_query": s.every_q,
        "class_token": s.cls, "positions": s.positions, "relative_space": s.space, "relative_time": s.time,
        "residual": s.residual, "growth": "attention" if s.in_attention else "mlp", "qkv_bias": s.bias,
        "final_norm": not s.mean_first, "num_classes": s.classes,
    }  # fmt: skip


def config_of(s: Shape) -> MViTConfig:
    """Our configuration of a plain model's geometry."""
    settings = settings_of(s)
    settings.pop("num_classes")
    return MViTConfig(**settings)


def make(s: Shape, seed: int = 0, dropout: float = 0.0, **changes: Any) -> Any:
    """A classifier of a plain model's geometry with random weights, every part large enough to show."""
    torch.manual_seed(seed)
    settings = {**settings_of(s), **changes}
    classes = settings.pop("num_classes")
    return stirred(with_head(MViT(MViTConfig(**settings)), classes, dropout), seed)


def stirred(model: nn.Module, seed: int = 0) -> Any:
    """The model with noise on all parameters: zeros and ones of a fresh one hide mistakes."""
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def clips_of(s: Shape, n: int = 2, seed: int = 0) -> Tensor:
    return clips(n, s.frames, s.size, s.size, seed)


def clips(n: int = 2, frames: int = 4, height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, frames, height, width, generator=torch.Generator().manual_seed(seed))


def separate(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """PySlowFast's keys with separate q, k and v."""
    parts: dict[str, Tensor] = {}
    for key, value in state.items():
        if ".qkv." in key:
            parts |= {key.replace("qkv", part): rows for part, rows in zip("qkv", value.chunk(3))}
        else:
            parts[key] = value
    return parts


def pytorchvideo(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """PySlowFast's tensors under PyTorchVideo's keys, each pool and its norm a second time."""
    renamed: dict[str, Tensor] = {}
    for key, value in separate(state).items():
        key = key.replace("patch_embed.proj", "patch_embed.patch_model").replace("head.projection", "head.proj")
        if key.startswith(("cls_token", "pos_embed")):
            key = f"cls_positional_encoding.{key}"
        renamed["norm_embed." + key.removeprefix("norm.") if key.startswith("norm.") else key] = value
    for key, value in list(renamed.items()):
        block, _, rest = key.partition(".attn.")
        if rest.startswith(("pool_", "norm_")):
            kind, part = rest.split(".")[0].split("_")
            renamed[f"{block}.attn._attention_pool_{part}.{kind}.{rest.split('.')[1]}"] = value
    return renamed


def torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """PySlowFast's tensors under torchvision's keys, tables without their first axis."""
    renamed: dict[str, Tensor] = {}
    plain = {
        "cls_token": "pos_encoding.class_token", "pos_embed_class": "pos_encoding.class_pos",
        "pos_embed_spatial": "pos_encoding.spatial_pos", "pos_embed_temporal": "pos_encoding.temporal_pos",
    }  # fmt: skip
    inner = {"attn.proj.": "attn.project.0.", "mlp.fc1.": "mlp.0.", "mlp.fc2.": "mlp.3.", "proj.": "project."}
    for key, value in state.items():
        if key in plain:
            flat = value.flatten() if "class" in plain[key] else value[0]
            renamed[plain[key]] = flat
            continue
        key = key.replace("patch_embed.proj", "conv_proj").replace("head.projection", "head.1")
        if key.startswith("blocks."):
            _, number, rest = key.split(".", 2)
            for old, new in inner.items():
                if rest.startswith(old):
                    rest = rest.replace(old, new, 1)
                    break
            for part in "qkv":
                rest = rest.replace(f"attn.pool_{part}.weight", f"attn.pool_{part}.pool.weight")
                rest = rest.replace(f"attn.norm_{part}.", f"attn.pool_{part}.norm_act.0.")
            key = f"blocks.{number}.{rest}"
        renamed[key] = value
    return renamed


def timm(state: dict[str, Tensor], s: Shape) -> dict[str, Tensor]:
    """PySlowFast's tensors of an image model under timm's keys, kernels of two axes."""
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        key = key.replace("head.projection", "head.fc")
        if key.startswith("blocks."):
            _, number, rest = key.split(".", 2)
            stage = sum(start <= int(number) for start in s.starts)
            place = int(number) - ((0, *s.starts)[stage])
            if rest.startswith("proj."):
                rest = rest.replace("proj.", "shortcut_proj_attn." if s.in_attention else "shortcut_proj_mlp.", 1)
            key = f"stages.{stage}.blocks.{place}.{rest}"
        renamed[key] = value.squeeze(2) if value.ndim == 5 else value
    return renamed


def state_of(s: Shape, seed: int = 0) -> dict[str, Tensor]:
    return random_state(s, seed)


def meta_model(name: str, **changes: Any) -> Any:
    """A model of the zoo without memory, in evaluation mode."""
    with torch.device("meta"):
        return create_model(name, **changes).eval()


def _forward_without_memory(model: Any) -> None:
    take = model.input
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(torch.empty(1, 3, take.num_frames, take.size, take.size, device="meta"))


@functools.cache
def multiply_adds(model: Any) -> int:
    """Of matrix products and convolutions in one forward pass on one clip."""
    counter = FlopCounterMode(display=False)
    with counter:
        _forward_without_memory(model)
    return counter.get_total_flops() // 2


def norm_operations(model: Any) -> int:
    """Five for each value that a LayerNorm sees in one forward pass on one clip."""
    seen = []
    norms = [module for module in model.modules() if isinstance(module, nn.LayerNorm)]
    handles = [norm.register_forward_hook(lambda _module, _inputs, out: seen.append(out.numel())) for norm in norms]
    _forward_without_memory(model)
    for handle in handles:
        handle.remove()
    return 5 * sum(seen)
