"""The adapter builds variants that no case of ours has, and they agree with the plain implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.conformance.adapters import x3d as adapter
from tests.conformance.conformance import inputs_of, manifest_of, relative_error
from tests.systems.x3d.parts import pyslowfast_of, pytorchvideo_of
from tests.systems.x3d.plain import classify, stages
from vidmodels.systems.x3d.builders import x3d

BASE: dict[str, Any] = {
    "arch": "x3d", "bn_lin5": False, "bottleneck_factor": 2.25, "depth_factor": 1.0, "dim_c1": 12, "dim_c5": 64,
    "head_act": "softmax", "head_pool_from_train_crop": 64, "input_crop": 64, "model": "X3D", "num_classes": 7,
    "num_frames": 3, "scale_res2": False, "se_ratio": 0.0625, "width_factor": 1.0,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "as published": {},
    "wider and deeper, as XL": {"width_factor": 2.9, "depth_factor": 1.5},
    "narrow blocks": {"bottleneck_factor": 1.0},
    "norm after lin_5": {"bn_lin5": True},
    "res2 scaled": {"scale_res2": True},
    "more squeezing": {"se_ratio": 0.25},
    "no squeezing": {"se_ratio": 0.0},
    "one frame": {"num_frames": 1},
    "larger crop than trained": {"input_crop": 96},
    "crop that is no multiple of 32": {"input_crop": 72, "head_pool_from_train_crop": 72},
}
OUTPUTS = {"s1": "whole", "s2": "slice [:, ::4]", "s5_pathway0": "mean over channels", "output": "whole", "logits": "whole"}


def network_of(config: dict[str, Any]) -> dict[str, Any]:
    names = ("width_factor", "depth_factor", "bottleneck_factor", "se_ratio", "scale_res2")
    return {"num_frames": config["num_frames"], "size": config["head_pool_from_train_crop"], "base_dim": config["dim_c1"],
            "head_dim": config["dim_c5"], "num_classes": config["num_classes"], "lin_norm": config["bn_lin5"],
            **{name: config[name] for name in names}}  # fmt: skip


def case_of(config: dict[str, Any], state: dict[str, torch.Tensor], name: str) -> dict[str, Any]:
    side = config["input_crop"]
    clip = {"kind": "normal", "name": name, "shape": [2, 3, config["num_frames"], side, side]}
    return {
        "system": "x3d", "config": config, "tolerance": 1e-4, "outputs": dict(OUTPUTS), "inputs": {"clip": clip},
        "state": manifest_of(state),
    }  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_pyslowfast(name):
    config = {**BASE, **VARIANTS[name]}
    with torch.device("meta"):
        case = case_of(config, pyslowfast_of(x3d(**network_of(config))), name)
    answers = adapter.run(case)
    state = adapter.state_tensors(case)
    clips = torch.from_numpy(inputs_of(case)["clip"])
    maps = stages(state, clips)
    assert relative_error(answers["s1"], maps[0].numpy()) < 1e-5
    assert relative_error(answers["s2"], maps[1][:, ::4].numpy()) < 1e-5
    assert relative_error(answers["s5_pathway0"], maps[4].mean(1).numpy()) < 1e-5
    scores = classify(state, clips, config["head_pool_from_train_crop"])
    assert relative_error(answers["output"], scores.numpy()) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"depth_factor": 2.0},
        {"width_factor": 2.9},
        {"bottleneck_factor": 1.5},
        {"se_ratio": 0.0},
        {"se_ratio": 0.25},
        {"head_dim": 40},
    ],
    ids=str,
)
def test_pytorchvideo_is_read_from_the_shapes(changes):
    """The configurations of that code name a builder, sizes and classes, nothing of the network."""
    settings = {"num_frames": 3, "size": 64, "num_classes": 7, "head_dim": 64, "depth_factor": 1.0, "width_factor": 1.0}
    with torch.device("meta"):
        reference: Any = x3d(**{**settings, **changes}, res2_shortcut_norm=False)
        state = pytorchvideo_of(reference)
    config = {"builder": "x3d_s", "input_clip_length": 3, "input_crop_size": 64, "num_classes": 7, "num_frames": 3}
    case = case_of({**config, "input_crop": 64}, state, "shapes")
    case["outputs"] = {"output": "whole", "block0": "mean over channels"}
    model: Any = adapter.build(config, case["state"])
    assert {key: value.shape for key, value in model.state_dict().items()} == {
        key: value.shape for key, value in reference.state_dict().items()
    }
    answers = adapter.run(case)
    assert answers["output"].shape == (2, 7)
    assert answers["block0"].shape == (2, 3, 32, 32)
