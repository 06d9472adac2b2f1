"""Choice of the arithmetic: float32, or bfloat16 autocast where the hardware has units for it."""

from __future__ import annotations

import contextlib
import functools
import platform
import weakref
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from vidmodels.core.errors import ConfigError

_CHOICES = ("float32", "bf16", "auto")
_transformers: weakref.WeakKeyDictionary[nn.Module, bool] = weakref.WeakKeyDictionary()


@functools.cache
def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16, AMX, or Arm's BF16 extension).

    Without such units bfloat16 is emulated and slower than float32.
    """
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:  # not Linux; Apple's arm chips from the M2 on have the units, but torch does not use them
        return False
    flags = {"amx_bf16", "avx512_bf16"} if platform.machine() in ("x86_64", "AMD64") else {"bf16"}
    return not flags.isdisjoint(words)


def is_transformer(model: nn.Module) -> bool:
    """Whether most of the model's parameters are in linear layers (on a CPU only these gain from bfloat16)."""
    if model not in _transformers:
        linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
        _transformers[model] = 2 * linear > sum(p.numel() for p in model.parameters())
    return _transformers[model]


def resolve_precision(device: torch.device | str, precision: str, model: nn.Module) -> str:
    """`float32` or `bf16`, whatever was asked. Raises ConfigError for bf16 on a GPU without it and unknown names."""
    if precision not in _CHOICES:
        raise ConfigError(f"train.precision {precision!r} does not exist: choose one of {', '.join(_CHOICES)}")
    kind = torch.device(device).type
    if kind == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == "bf16" and not native:
            name = torch.cuda.get_device_name(torch.device(device))
            raise ConfigError(f"train.precision bf16 needs a GPU with bfloat16 units, which {name} lacks: use float32")
        return "bf16" if precision != "float32" and native else "float32"
    if precision == "auto":
        return "bf16" if kind == "cpu" and cpu_has_bf16() and is_transformer(model) else "float32"
    return precision


def fast_precision(device: torch.device | str) -> str:
    """The faster arithmetic for inference: bf16 on hardware with units for it, whatever the network, else float32.

    Forward passes of convolutions gain from bfloat16 on such CPUs too; it is their backward passes that do not.
    """
    kind = torch.device(device).type
    has_units = torch.cuda.is_bf16_supported(including_emulation=False) if kind == "cuda" else kind == "cpu" and cpu_has_bf16()
    return "bf16" if has_units else "float32"


@contextlib.contextmanager
def autocast_for(device: torch.device | str, precision: str, model: nn.Module) -> Iterator[None]:
    """The autocast context in which a model is run for `precision` (float32, bf16 or auto)."""
    chosen = resolve_precision(device, precision, model)
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=chosen == "bf16"):
        yield
