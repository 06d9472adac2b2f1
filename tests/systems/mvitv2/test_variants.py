"""The adapter builds variants that no case of ours has, in every layout, and they agree with the plain implementation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from tests.backbones.mvit_cases import check, make_case, renamed_back
from tests.backbones.mvit_parts import timm, torchvision
from tests.backbones.mvit_plain import V2, V2_IMAGE, Shape, config_of
from tests.conformance.adapters import mvitv2 as adapter
from tests.conformance.conformance import relative_error

VARIANTS = {
    "16 x 4": V2,
    "growth in the MLP": replace(V2, in_attention=False),
    "space only": replace(V2, time=False),
    "time only": replace(V2, space=False),
    "no residual": replace(V2, residual="none"),
    "queries pooled where stages begin": replace(V2, every_q=False),
    "absolute positions": replace(V2, space=False, time=False, positions="separable"),
    "no class token": replace(V2, cls=False),
    "three stages, two heads": replace(V2, dim=16, heads=2, depth=6, starts=(1, 3, 5), q_strides=((1, 2, 2),) * 3),
    "side 40, grids that pooling rounds up": replace(V2, size=40, depth=5, starts=(1, 3, 4), q_strides=((1, 2, 2),) * 3),
    "strides in time": replace(V2, frames=8, q_strides=((2, 2, 2), (1, 2, 2)), kv_stride=(2, 4, 4)),
    "mean before the norm, growth in the MLP": replace(V2, mean_first=True, in_attention=False),
    "last stage keeps its grid": replace(V2, q_strides=((1, 2, 2), (1, 1, 1)), in_attention=False),
    "image model in the video code": replace(V2_IMAGE, residual="grid"),
    "image model in the video code, class token": replace(V2_IMAGE, residual="grid", cls=True),
}
REPOSITORY = {
    "image": V2_IMAGE,
    "image, class token, as for ImageNet-21K": replace(V2_IMAGE, cls=True),
    "image, growth in the MLP": replace(V2_IMAGE, in_attention=False),
    "image, absolute positions": replace(V2_IMAGE, space=False, positions="joint", cls=True),
    "image, side 48": replace(V2_IMAGE, size=48),
}


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_variants(name):
    check(adapter.run, VARIANTS[name], make_case("mvitv2", VARIANTS[name], name))


@pytest.mark.parametrize("axes", [4, 5])
@pytest.mark.parametrize("name", REPOSITORY)
@torch.no_grad()
def test_image_repository(name, axes):
    """Kernels have two axes in its models and three in its files; the query is added to the class token too."""
    s = REPOSITORY[name]
    two = partial(_kernels, axes=axes)
    case = make_case("mvitv2", s, name, two, config=config_of(s, repository=True))
    check(adapter.run, s, case, lambda state: _kernels(state, 5))


@pytest.mark.parametrize("name", ["image", "image, class token, as for ImageNet-21K", "image, growth in the MLP"])
@torch.no_grad()
def test_timm(name):
    s = REPOSITORY[name]
    case = make_case("mvitv2", s, name, partial(timm, s=s), config={"name": "mvitv2", "crop": 32, "num_classes": 5})
    check(adapter.run, s, case, renamed_back(s, partial(timm, s=s)))


@torch.no_grad()
def test_torchvisions_configuration_says_little():
    """A name, crop, frames and classes: the rest is in the state."""
    s = replace(V2, depth=5, starts=(1, 3, 4), q_strides=((1, 2, 2),) * 3, kv_stride=(1, 8, 8), size=64)
    config = {"name": "mvit_v2_s", "crop": 64, "num_frames": 4, "num_classes": 5}
    check(adapter.run, s, make_case("mvitv2", s, "tv", torchvision, config=config), renamed_back(s, torchvision))


def test_the_residual_of_the_class_token_is_the_image_codes():
    """Equal shapes, another function."""
    s = replace(V2_IMAGE, cls=True)
    case = make_case("mvitv2", s, "residual", config=config_of(s, repository=True))
    image = adapter.run(case)["logits"]
    assert relative_error(adapter.run({**case, "config": config_of(s)})["logits"], image) > 1e-3


@torch.no_grad()
def test_detectors_map():
    """The RoI head takes the normed tokens without the class token."""
    s: Shape = V2
    case = make_case("mvitv2", s, "boxes", outputs={"tokens": "tokens after the final norm"})
    case["config"] |= {
        "detection": True, "aligned": True, "spatial_scale": "1/16", "roi_resolution": 7,
        "boxes_batch_xyxy": [[0, 1.0, 2.0, 30.0, 31.0], [1, 0.0, 0.0, 16.0, 16.0]],
    }  # fmt: skip
    answers = adapter.run(case)
    assert answers["logits"].shape == (2, 5)
    case["config"]["spatial_scale"] = "1/32"
    assert relative_error(adapter.run(case)["logits"], answers["logits"]) > 1e-3


def _kernels(state, axes: int):
    """Convolutions' kernels with two axes or three."""
    changed = {}
    for key, value in state.items():
        pool = ".pool_" in key
        changed[key] = value.reshape(*value.shape[:2], *([1] * (axes - 4)), *value.shape[-2:]) if pool else value
    return changed
