"""Checkpoints of persistent contrastive learning: PySlowFast's, and our own.

Published files hold the network that learned, for MoCo and BYOL its slow copy, and the memories. How many layers projection
and prediction have, and whether they have batch norm, is read from the keys: a file that needs another model says which.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from vidmodels.backbones.resnet3d_weights import BN, pyslowfast_pathway
from vidmodels.core.errors import WeightsError
from vidmodels.weights.files import read_state
from vidmodels.weights.load import LoadReport, load_state, open_state
from vidmodels.weights.patterns import Drop, Format, Rule

_PARAM = rf"(\d+)\.{BN}"


def _embedder(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Rules of one network and its heads."""
    trunk = (Rule(rf"{theirs}\.{rule.pattern}", rule.target) for rule in pyslowfast_pathway(0, f"{ours}.backbone."))
    return (
        *trunk,
        Rule(rf"{theirs}\.head\.projection\.projection\.{_PARAM}", f"{ours}.projection.{{0}}.{{1}}"),
        Rule(rf"{theirs}\.head\.predictors\.0\.projection\.{_PARAM}", f"{ours}.prediction.{{0}}.{{1}}"),
    )


PYSLOWFAST = Format(
    "PySlowFast, contrastive",
    signature=(r"backbone\.s1\.pathway0_stem\.conv\.weight", r"backbone\.head\.projection\.projection\.0\.weight"),
    rules=(
        *_embedder("backbone", "online"),
        *_embedder("backbone_hist", "momentum"),
        Rule(r"swav_prototypes\.weight", "prototypes.weight"),
        Rule(r"queue_x", "queue"),
        Rule(r"ptr", "pointer"),
        Rule(r"iter", "iteration"),
        Rule(r"knn_mem\.memory", "memory"),
        Drop(r"queue_swav", "a queue of codes, which the published models do not use"),
    ),
)
_OURS = r"((?:online|momentum|prototypes)\..+|queue|pointer|iteration|memory)"
VIDMODELS = Format("vidmodels", (r"online\.projection\.0\.weight",), (Rule(_OURS, "{0}"),))
FORMATS = (VIDMODELS, PYSLOWFAST)

# state of a run, which a file may lack or have in vain: the weights are whole without it
MEMORIES = ("queue", "pointer", "iteration", "memory")


def load(model: nn.Module, path: str | Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load a checkpoint into a contrastive model. allow: patterns of our keys that it may lack or have in vain.

    Raises WeightsError, for a file of another framework or other heads with the settings that fit it.
    """
    state, metadata = read_state(path)
    return load_tensors(model, state, str(path), allow, metadata)


def load_tensors(
    model: Any, state: dict[str, Tensor], source: str, allow: tuple[str, ...] = (), metadata: dict[str, Any] | None = None
) -> LoadReport:
    """Load a state dict with a known format's keys; see `load`."""
    _, tensors, report = open_state(state, FORMATS, source, metadata)
    found, config = settings_of(tensors), model.config
    if differing := [name for name, value in found.items() if getattr(config, name) != value]:
        theirs = ", ".join(f"{name}={found[name]!r}" for name in differing)
        raise WeightsError(f"{source} was saved from a model with {theirs}: pass {theirs} to create_model")
    if config.framework == "byol":
        for key in ("queue", "pointer"):  # published files have them, and nothing reads them
            if tensors.pop(key, None) is not None:
                report.dropped[key] = "a queue that BYOL does not use"
    if (memory := tensors.get("memory")) is not None and memory.ndim == 3:
        tensors["memory"] = memory.squeeze(1)
    for name in MEMORIES:
        _leave_memory(name, tensors, model.state_dict(), report)
    return load_state(model, tensors, report, (*allow, *MEMORIES), allow)


def _leave_memory(name: str, tensors: dict[str, Tensor], own: dict[str, Tensor], report: LoadReport) -> None:
    """A queue or memory of another length belongs to another run."""
    if (value := tensors.get(name)) is None:
        return
    if name not in own or own[name].shape != value.shape:
        wanted = f"{tuple(own[name].shape)} here" if name in own else "none here"
        report.dropped[name] = f"a memory of shape {tuple(value.shape)}, {wanted}"
        del tensors[name]


def settings_of(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What tensors under our keys say of the model: fields of ContrastiveConfig.

    MoCo and SimCLR have the same network; a slow copy tells them apart.
    """
    prediction = _mlp(tensors, "prediction")
    norm = any(re.fullmatch(r"online\.projection\.\d+\.running_mean", key) for key in tensors)
    framework = "simclr"
    if "prototypes.weight" in tensors:
        framework = "swav"
    elif any(key.startswith("momentum.") for key in tensors):
        framework = "byol" if prediction else "moco"
    layers = _mlp(tensors, "projection")
    found: dict[str, Any] = {"framework": framework, "layers": len(layers), "norm": norm, "predictor_layers": len(prediction)}
    if layers:
        found |= {"hidden": tensors[layers[0]].shape[0], "dim": tensors[layers[-1]].shape[0]}
    if framework == "swav":
        found["prototypes"] = tensors["prototypes.weight"].shape[0]
    return found


def _mlp(tensors: dict[str, Tensor], name: str) -> list[str]:
    """Keys of the linear layers' weights in their order."""
    keys = [key for key in tensors if re.fullmatch(rf"online\.{name}\.\d+\.weight", key) and tensors[key].ndim == 2]
    return sorted(keys, key=lambda key: int(key.split(".")[2]))
