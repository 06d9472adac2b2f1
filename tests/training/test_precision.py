"""The choice of arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vidmodels.core.errors import ConfigError
from vidmodels.training import precision
from vidmodels.training.precision import autocast_for, is_transformer, resolve_precision

LINEAR = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
CONVS = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(2, 2))


def test_bf16_computes_linear_layers_in_bfloat16_and_float32_does_not():
    x = torch.randn(2, 8)
    with autocast_for("cpu", "bf16", LINEAR):
        assert LINEAR[0](x).dtype == torch.bfloat16
    with autocast_for("cpu", "float32", LINEAR):
        assert LINEAR[0](x).dtype == torch.float32
    assert LINEAR[0](x).dtype == torch.float32


@pytest.mark.parametrize(
    ("has_units", "model", "expected"),
    [(True, LINEAR, "bf16"), (False, LINEAR, "float32"), (True, CONVS, "float32"), (False, CONVS, "float32")],
)
def test_auto_on_a_cpu_needs_both_the_units_and_a_transformer(monkeypatch, has_units, model, expected):
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: has_units)
    assert resolve_precision("cpu", "auto", model) == expected


@pytest.mark.parametrize(
    ("flags", "machine", "expected"),
    [
        ("flags : fpu avx512f avx512_bf16", "x86_64", True),
        ("flags : fpu amx_bf16 amx_tile", "x86_64", True),
        ("flags : fpu avx2 avx512f", "x86_64", False),
        ("Features : fp asimd bf16", "aarch64", True),
        ("Features : fp asimd", "aarch64", False),
    ],
)
def test_the_units_are_read_from_the_flags(monkeypatch, flags, machine, expected):
    monkeypatch.setattr(precision.platform, "machine", lambda: machine)
    monkeypatch.setattr(precision.Path, "read_text", lambda self: flags)
    assert precision.cpu_has_bf16.__wrapped__() is expected


def test_most_parameters_decide_what_a_transformer_is():
    assert is_transformer(LINEAR)
    assert not is_transformer(CONVS)


def test_an_unknown_precision_is_an_error_with_the_choices():
    with pytest.raises(ConfigError, match="'fp16' does not exist: choose one of float32, bf16, auto"):
        resolve_precision("cpu", "fp16", LINEAR)
