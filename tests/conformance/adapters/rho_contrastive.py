"""Persistent contrastive learning: one training step of a framework with its batch norms in evaluation, and what precedes it.

The gradients are those of the task, back-propagated as it yields them.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tests.conformance.adapters.parts import checked_parameters, cut, state_tensors
from tests.conformance.conformance import inputs_of
from vidmodels.backbones.resnet3d import ResNet3d
from vidmodels.backbones.resnet3d_archs import ResNetOptions, resnet_config
from vidmodels.core.errors import ConfigError
from vidmodels.losses.contrastive import info_nce_logits
from vidmodels.systems.rho_contrastive.model import ContrastiveConfig, ContrastiveModel
from vidmodels.systems.rho_contrastive.weights import FORMATS, PYSLOWFAST, load_tensors, settings_of
from vidmodels.tasks.pretrain_contrastive import PretrainContrastive
from vidmodels.weights.patterns import translate

NEAREST = 200


def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of the case."""
    config, state = case["config"], state_tensors(case)
    model = _model(config, state)
    load_tensors(model, state, "the case's state")
    checked_parameters(model, case)
    clips = [torch.from_numpy(np.asarray(v, np.float32)) for _, v in sorted(inputs_of(case).items(), key=_number)]
    answers = _evaluated(model.eval(), clips)
    answers |= _step(model, clips, case)
    texts = case.get("outputs", {})
    return {key: cut(value, texts.get(key, "")).float().detach().numpy() for key, value in answers.items()}


def _number(item: tuple[str, Any]) -> int:
    return int(re.sub(r"\D", "", item[0]))


def _model(config: dict, state: dict[str, Tensor]) -> ContrastiveModel:
    form = next((form for form in FORMATS if form.fits(state)), None)
    if form is None:
        raise ConfigError("the case's state has no known format")
    found = settings_of(translate(state, form, "the case's state").tensors)
    if found["framework"] != config["framework"]:
        raise ConfigError(f"the keys are those of {found['framework']}, not of {config['framework']}")
    memory = state["knn_mem.memory"].shape[0] if "knn_mem.memory" in state else 0
    queue = state["queue_x"].shape[0] if "queue_x" in state else 0
    depth = len({m[1] for key in state if (m := re.match(r"backbone\.s4\.pathway0_res(\d+)\.", key))})
    known = {6: 50, 23: 101}
    if depth not in known:
        raise ConfigError(f"a backbone of {depth} blocks in res4 is not supported")
    backbone = ResNet3d(resnet_config("slow", ResNetOptions(known[depth], identity_start=False)))
    return ContrastiveModel(backbone, ContrastiveConfig(**found, queue=queue, memory=memory))


@torch.no_grad()
def _evaluated(model: ContrastiveModel, clips: list[Tensor]) -> dict[str, Tensor]:
    maps: list[Tensor] = []
    model.online.backbone.res5.register_forward_hook(lambda _module, _inputs, out: maps.append(out.mean(1)))  # type: ignore[union-attr]
    found = [model.online(part) for part in clips]
    answers = {
        "s5_mean": torch.stack(maps),
        "pool5": torch.stack([part.pooled for part in found]),
        "projection": torch.stack([part.projection for part in found]),
        "prediction": torch.stack([part.prediction for part in found]),
    }
    first = found[0].projection
    unit = functional.normalize(first, dim=1)
    answers["embedding"] = first if model.config.has_momentum else unit
    if model.config.memory:
        near = (unit @ model.memory.T).topk(min(NEAREST, len(model.memory)), dim=1)
        answers |= {"knn_similarity": near.values, "knn_index": near.indices[:, :10].float()}
    if model.prototypes is not None:
        model.normalise_prototypes()
        answers["scores"] = torch.stack([model.scores(functional.normalize(part.projection, dim=1)) for part in found])
    return answers


def _step(model: ContrastiveModel, clips: list[Tensor], case: dict) -> dict[str, Tensor]:
    """One step of training: losses, gradients, and what the memories hold afterwards."""
    config = case["config"]
    framework, rho = config["framework"], len(clips)
    share = config["epoch_exact"] / config["max_epoch"]
    from vidmodels.core.entry import InputSpec
    from vidmodels.core.recipe import AugmentSection, ContrastiveTaskSection
    from vidmodels.tasks.base import StepContext

    settings = ContrastiveTaskSection(
        temperature=config["temperature"], momentum=config["momentum_base"] or 0.99,
        multi_view_queue=bool(config["multi_view_queue"]), epsilon=config["sinkhorn_epsilon"] or 0.05,
        iterations=config["sinkhorn_iterations"] or 3,
    )  # fmt: skip
    task = PretrainContrastive(settings, InputSpec(1, 1, 8), AugmentSection(), model, config["max_epoch"])
    # the slow copy follows with the momentum of the step before, which in a case is the first: its initial value
    step = 0 if model.momentum is not None else round(share * 1_000_000)
    context = StepContext(step, 1_000_000, torch.Generator())
    answers: dict[str, Tensor] = {}
    if framework == "moco":
        answers["logits"] = _logits(model, task, clips, config)
    total = torch.zeros(())
    model.zero_grad(set_to_none=True)
    for values in task.losses(model, clips, torch.ones(len(clips[0]), dtype=torch.bool), context):
        values["loss"].backward()
        total = total + values["loss"].detach()
        # before the step ends, at which MoCo lets go of them until its queue is full
        answers["gradient_norm"] = _gradient_norms(model, config["gradient_parameters"])
    reported = total if framework == "swav" else total / (2 * rho)
    answers["loss"] = reported.reshape(1)
    if model.momentum is not None:
        answers["momentum"] = torch.tensor([task.momentum(share)])
        answers["history_parameter_mean_abs"] = _in_published_order(model, case)
        with torch.no_grad():
            answers["key_after_update"] = torch.stack([model.momentum(part).projection for part in clips])
    if model.prototypes is not None:
        answers["prototypes_after_norms"] = model.prototypes.weight.norm(dim=1)
    if framework == "moco":
        answers["queue_after"] = model.queue[: len(clips[0]) * rho + 2]
        answers["queue_pointer_after"] = model.pointer.float()
    return answers


@torch.no_grad()
def _logits(model: ContrastiveModel, task: PretrainContrastive, clips: list[Tensor], config: dict) -> Tensor:
    """Those of the step, on a copy whose slow network follows as the step's will."""
    import copy

    other = copy.deepcopy(model)
    other.follow(task.momentum(0.0))
    keys = [other.keys(part) for part in clips]
    rows = []
    for i, part in enumerate(clips):
        others = [key for j, key in enumerate(keys) if j != i]
        rows.append(info_nce_logits(other(part).projection, others, other.queue, config["temperature"]))
    return torch.cat(rows)


def _gradient_norms(model: ContrastiveModel, names: list[str]) -> Tensor:
    norms = []
    for parameter in _by_published_names(model, names):
        norms.append(torch.zeros(()) if parameter.grad is None else parameter.grad.norm())
    return torch.stack(norms)


def _in_published_order(model: ContrastiveModel, case: dict) -> Tensor:
    """Mean absolute values of the slow copy's parameters, in the order of the reference's modules (a case sorts them)."""
    ends = ("running_mean", "running_var", "num_batches_tracked")
    names = [key for key in case["state"] if key.startswith("backbone_hist.") and not key.endswith(ends)]

    def place(name: str) -> tuple:
        # the trunk before the head, the prediction before the projection; numbers as numbers, a kernel before its norm
        parts = re.sub(r"_bn\.", "._bn.", name).replace("stem.bn.", "stem.norm.")
        words = [(int(w), "") if w.isdigit() else (-1, w) for w in re.split(r"\.|(?<=_res)(?=\d)", parts)]
        return ("head" in name, words[:-1], name.endswith("bias"))

    return torch.stack([parameter.detach().abs().mean() for parameter in _by_published_names(model, sorted(names, key=place))])


def _by_published_names(model: ContrastiveModel, names: list[str]) -> list[torch.nn.Parameter]:
    own = dict(model.named_parameters())
    found = []
    for name in names:
        (key,) = translate({name: torch.zeros(1)}, PYSLOWFAST, "the case").tensors
        found.append(own[key])
    return found
