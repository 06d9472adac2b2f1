"""All 19 names of PyTorchVideo's hub are models, with the published numbers of parameters."""

from __future__ import annotations

from typing import Any

import pytest

from tests.systems.mae_st.parts import shapes_only
from vidmodels import zoo

# X3D by its hub's name is the paper's; the hub's own form lacks a norm of 24 channels
HUB_X3D: dict[str, Any] = {"res2_shortcut_norm": False}
HUB: dict[str, tuple[int | None, dict[str, Any]]] = {  # None: not published for the hub's form
    "slow_r50": (32_454_096, {}),
    "slow_r50_detection": (31_798_416, {}),
    "c2d_r50": (24_327_632, {}),
    "i3d_r50": (28_043_472, {}),
    "slowfast_r50": (34_566_488, {}),
    "slowfast_r101": (62_826_968, {}),
    "slowfast_16x8_r101_50_50": (53_774_808, {}),
    "slowfast_r50_detection": (33_828_888, {}),
    "x3d_xs": (3_794_274, HUB_X3D),
    "x3d_s": (3_794_274, HUB_X3D),
    "x3d_m": (3_794_274, HUB_X3D),
    "x3d_l": (6_153_384, HUB_X3D),
    "csn_r101": (22_213_776, {}),
    "r2plus1d_r50": (28_107_600, {}),
    "mvit_base_16": (None, {}),
    "mvit_base_16x4": (36_610_672, {}),
    "mvit_base_32x3": (36_611_440, {}),
    "efficient_x3d_xs": (3_794_322, {}),
    "efficient_x3d_s": (3_794_322, {}),
}


@pytest.mark.parametrize("name", HUB)
def test_hub_names_are_models(name):
    params, settings = HUB[name]
    model = shapes_only(name, **settings)
    row = zoo.entry(name)
    params = params or row.params
    assert sum(parameter.numel() for parameter in model.parameters()) == params
    assert any("PyTorchVideo" in form or "model_state" in form for form in row.formats)
    assert row.task == ("detect_actions" if name.endswith("detection") else "classify")
    if not settings:
        assert row.params == params


def test_there_are_nineteen():
    assert len(HUB) == 19
