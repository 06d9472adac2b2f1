"""X3D as plain functions on a state with PySlowFast's names: a second implementation, to hold variants against.

N clips, C channels, T frames, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]


def batch_norm(state: State, key: str, x: Tensor) -> Tensor:
    mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
    shape = (1, -1, *[1] * (x.ndim - 2))
    x = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + 1e-5)
    return x * state[f"{key}.weight"].view(shape) + state[f"{key}.bias"].view(shape)


def block(state: State, at: str, x: Tensor, stride: int) -> Tensor:
    step = (1, stride, stride)
    y = functional.conv3d(x, state[f"{at}.branch2.a.weight"])
    y = batch_norm(state, f"{at}.branch2.a_bn", y).relu()
    y = functional.conv3d(y, state[f"{at}.branch2.b.weight"], stride=step, padding=1, groups=y.shape[1])
    y = batch_norm(state, f"{at}.branch2.b_bn", y)
    if f"{at}.branch2.se.fc1.weight" in state:
        s = y.mean((2, 3, 4), keepdim=True)
        s = functional.conv3d(s, state[f"{at}.branch2.se.fc1.weight"], state[f"{at}.branch2.se.fc1.bias"]).relu()
        s = functional.conv3d(s, state[f"{at}.branch2.se.fc2.weight"], state[f"{at}.branch2.se.fc2.bias"])
        y = y * s.sigmoid()
    y = functional.conv3d(y * y.sigmoid(), state[f"{at}.branch2.c.weight"])
    y = batch_norm(state, f"{at}.branch2.c_bn", y)
    if f"{at}.branch1.weight" in state:
        x = functional.conv3d(x, state[f"{at}.branch1.weight"], stride=step)
        if f"{at}.branch1_bn.weight" in state:
            x = batch_norm(state, f"{at}.branch1_bn", x)
    return (x + y).relu()


def stages(state: State, clips: Tensor) -> list[Tensor]:
    """The maps after the stem and the four stages."""
    x = functional.conv3d(clips, state["s1.pathway0_stem.conv_xy.weight"], stride=(1, 2, 2), padding=(0, 1, 1))
    kernel = state["s1.pathway0_stem.conv.weight"]
    x = functional.conv3d(x, kernel, padding=(kernel.shape[2] // 2, 0, 0), groups=x.shape[1])
    maps = [batch_norm(state, "s1.pathway0_stem.bn", x).relu()]
    for stage in (2, 3, 4, 5):
        x = maps[-1]
        for i in range(100):
            at = f"s{stage}.pathway0_res{i}"
            if f"{at}.branch2.a.weight" in state:
                x = block(state, at, x, 2 if i == 0 else 1)
        maps.append(x)
    return maps


def classify(state: State, clips: Tensor, crop: int) -> Tensor:
    """Scores [N, K]: a softmax at each position of windows as large as the training crop's map, then their mean."""
    x = functional.conv3d(stages(state, clips)[-1], state["head.conv_5.weight"])
    x = batch_norm(state, "head.conv_5_bn", x).relu()
    side = -(-crop // 32)
    x = functional.avg_pool3d(x, (x.shape[2], side, side), 1)
    x = functional.conv3d(x, state["head.lin_5.weight"])
    if "head.lin_5_bn.weight" in state:
        x = batch_norm(state, "head.lin_5_bn", x)
    x = x.relu().permute(0, 2, 3, 4, 1)
    x = functional.linear(x, state["head.projection.weight"], state["head.projection.bias"])
    return x.softmax(-1).mean((1, 2, 3))
