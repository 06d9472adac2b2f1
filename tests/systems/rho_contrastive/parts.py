"""Small contrastive models for the tests, and their files as they are published."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from tests.systems.mae_st.parts import stirred
from vidmodels.core.entry import InputSpec
from vidmodels.core.recipe import AugmentSection, ContrastiveTaskSection
from vidmodels.tasks.base import StepContext
from vidmodels.tasks.pretrain_contrastive import PretrainContrastive
from vidmodels.zoo import create_model

FRAMEWORKS = ("moco", "byol", "simclr", "swav")
SMALL = {"depth": (1, 2, 1, 1), "width": 4, "hidden": 24, "dim": 16, "queue": 24, "prototypes": 12, "size": 32}


def small(framework: str, **changes: Any) -> Any:
    """The published form (Slow, heads with their layers) made small, with noise on everything, in evaluation."""
    torch.manual_seed(0)
    return stirred(create_model(f"rho_{framework}_slow_r50", **{**SMALL, **changes}), 0).eval()


def clips(n: int = 4, frames: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(n, 3, frames, 32, 32, generator=torch.Generator().manual_seed(seed))


def task_of(model: Any, **changes: Any) -> PretrainContrastive:
    temperature = 0.5 if model.config.framework == "byol" else 0.1
    settings = ContrastiveTaskSection(**{"temperature": temperature, **changes})
    return PretrainContrastive(settings, InputSpec(4, 1, 32), AugmentSection(), model, 10)


def context(step: int = 100, total: int = 200) -> StepContext:
    return StepContext(step, total, torch.Generator().manual_seed(0))


def losses(model: Any, parts: list[Tensor], valid: Tensor | None = None, backward: bool = False, **changes: Any) -> list[float]:
    """Of one step, each back-propagated as it comes where that is asked for."""
    known = torch.ones(len(parts[0]), dtype=torch.bool) if valid is None else valid
    found = []
    for values in task_of(model, **changes).losses(model, parts, known, context()):
        if backward:
            values["loss"].backward()
        found.append(values["loss"].item())
    return found


def published(model: Any) -> dict[str, Tensor]:
    """The state of a model under PySlowFast's keys."""
    found = {}
    for key, value in model.state_dict().items():
        for ours, theirs in (("online", "backbone"), ("momentum", "backbone_hist")):
            if not key.startswith(f"{ours}."):
                continue
            rest = key.removeprefix(f"{ours}.")
            rest = re.sub(r"^projection\.", "head.projection.projection.", rest)
            rest = re.sub(r"^prediction\.", "head.predictors.0.projection.", rest)
            rest = re.sub(r"^backbone\.stem\.conv", "s1.pathway0_stem.conv", rest)
            rest = re.sub(r"^backbone\.stem\.norm", "s1.pathway0_stem.bn", rest)
            rest = re.sub(r"^backbone\.res(\d)\.blocks\.(\d+)\.", r"s\1.pathway0_res\2.", rest)
            rest = rest.replace("shortcut.conv", "branch1").replace("shortcut.norm", "branch1_bn")
            rest = re.sub(r"conv_([abc])", r"branch2.\1", rest)
            rest = re.sub(r"norm_([abc])", r"branch2.\1_bn", rest)
            key = f"{theirs}.{rest}"
            break
        else:
            names = {"prototypes.weight": "swav_prototypes.weight", "queue": "queue_x", "pointer": "ptr", "iteration": "iter"}
            key = names.get(key, key)
            if key == "memory":
                key, value = "knn_mem.memory", value.unsqueeze(1)
        found[key] = value
    return found
