"""The adapter builds variants that no case of ours has, in every layout, and they agree with the plain implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.backbones.mvit_cases import check, make_case, renamed_back
from tests.backbones.mvit_parts import pytorchvideo, separate, torchvision
from tests.backbones.mvit_plain import IMAGE, Shape
from tests.conformance.__main__ import run_case
from tests.conformance.adapters import mvit as adapter
from tests.conformance.conformance import relative_error, save_case

VARIANTS = {
    "16 x 4": Shape(),
    "joint positions": Shape(positions="joint"),
    "no class token": Shape(cls=False),
    "no positions": Shape(positions="none"),
    "kernel by the rule": Shape(kernel=None),
    "maximum, kernel by the rule": Shape(mode="max", kernel=None),
    "maximum, 3 x 3 x 3": Shape(mode="max"),
    "average": Shape(mode="avg", frames=8),
    "two heads at the start": Shape(dim=16, heads=2),
    "three stages, deep": Shape(depth=7, starts=(2, 3, 6), q_strides=((1, 2, 2),) * 3),
    "last stage keeps its grid": Shape(q_strides=((1, 2, 2), (1, 1, 1))),
    "strides in time": Shape(frames=8, q_strides=((2, 2, 2), (1, 2, 2)), kv_stride=(4, 4, 4)),
    "mean before the norm": Shape(mean_first=True),
    "no bias of q, k, v": Shape(bias=False),
    "side 48": Shape(size=48),
    "image": IMAGE,
    "image, kernel by the rule": replace(IMAGE, kernel=None),
    "image, maximum": replace(IMAGE, mode="max", kernel=None),
    "image, no class token": replace(IMAGE, cls=False),
    "image, separable positions": replace(IMAGE, positions="separable"),
}
LAYOUTS = {"separate": separate, "PyTorchVideo": pytorchvideo, "torchvision": torchvision}


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_variants(name):
    check(adapter.run, VARIANTS[name], make_case("mvit", VARIANTS[name], name))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["16 x 4", "three stages, deep", "kernel by the rule", "no bias of q, k, v"])
@torch.no_grad()
def test_layouts(name, layout):
    s, renamed = VARIANTS[name], LAYOUTS[layout]
    check(adapter.run, s, _tied(make_case("mvit", s, name, renamed)), renamed_back(s, renamed))


@torch.no_grad()
def test_pytorchvideos_image_model_has_separable_positions():
    s = replace(IMAGE, positions="separable")
    check(adapter.run, s, _tied(make_case("mvit", s, "image", pytorchvideo)), renamed_back(s, pytorchvideo))


@torch.no_grad()
def test_torchvisions_configuration_says_little():
    """A name, crop, frames and classes: the rest is in the state."""
    s = Shape(depth=5, starts=(1, 3, 4), q_strides=((1, 2, 2),) * 3, kv_stride=(1, 8, 8), size=64)
    config = {"name": "mvit_v1_b", "crop": 64, "num_frames": 4, "num_classes": 5}
    check(adapter.run, s, make_case("mvit", s, "tv", torchvision, config=config), renamed_back(s, torchvision))


@torch.no_grad()
def test_pytorchvideos_names_of_settings():
    s = Shape(depth=5, starts=(2, 4))
    case = _tied(make_case("mvit", s, "ptv", pytorchvideo))
    case["config"] = {
        "spatial_size": 32, "temporal_size": 4, "depth": 5, "num_heads": 1, "embed_dim_mul": [[2, 2.0], [4, 2.0]],
        "atten_head_mul": [[2, 2.0], [4, 2.0]], "pool_q_stride_size": [[2, 1, 2, 2], [4, 1, 2, 2]],
        "pool_kv_stride_adaptive": [1, 4, 4], "pool_kvq_kernel": [3, 3, 3], "head_num_classes": 5,
    }  # fmt: skip
    check(adapter.run, s, case, renamed_back(s, pytorchvideo))


def test_strides_come_from_the_configuration():
    """Equal shapes, another function: a stride of the keys that is not the case's is a wrong answer."""
    case = make_case("mvit", Shape(), "strides")
    right = adapter.run(case)["logits"]
    case["config"] |= {"pool_kv_stride_adaptive": [1, 2, 2], "pool_kv_stride": None}
    assert relative_error(adapter.run(case)["logits"], right) > 1e-3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pool_first": True}, "pool_first is not supported"),
        ({"mode": "conv_unshared"}, "mode 'conv_unshared' is not supported"),
    ],
)
def test_what_no_published_model_has_is_refused_in_a_sentence(change, words, tmp_path):
    case = make_case("mvit", Shape(), "refused")
    case["config"] |= change
    save_case(tmp_path / "case", case, {"logits": np.zeros(())})
    passed, line = run_case(tmp_path / "case")
    assert not passed
    assert words in line


def _tied(case: dict) -> dict:
    """PyTorchVideo's second entries are the first ones' tensors."""
    ties = {}
    for key in case["state"]:
        if "_attention_pool_" in key:
            block, rest = key.split("_attention_pool_")
            part, kind, leaf = rest.split(".")
            ties[key] = f"{block}{kind}_{part}.{leaf}"
    return {**case, "ties": ties}
