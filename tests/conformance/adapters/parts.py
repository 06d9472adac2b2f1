"""What the adapters share: the state of a case as tensors, its parameter count, and the slices that it keeps."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor, nn

from tests.conformance.conformance import state_of


def state_tensors(case: dict) -> dict[str, Tensor]:
    """The filled state dict of the case."""
    return {key: torch.from_numpy(np.asarray(value)) for key, value in state_of(case).items()}


def checked_parameters(model: nn.Module, case: dict) -> None:
    """Raises KeyError where the model has another number of parameters than the reference."""
    count = sum(parameter.numel() for parameter in model.parameters())
    if case.get("params") and count != case["params"]:
        raise KeyError(f"the model has {count} parameters, the reference {case['params']}")


def slices(answers: dict[str, Tensor], case: dict) -> dict[str, np.ndarray]:
    """Each output as the case keeps it: the mean over channels and the slice that its text names."""
    kept = {}
    for key, text in case["outputs"].items():
        if key in answers:
            value = answers[key]
            if "mean over channels" in text and value.ndim == 5:
                value = value.mean(1)
            kept[key] = cut(value, text).float().numpy()
    return kept


def cut(value: Tensor, text: str) -> Tensor:
    """The part of a tensor that a text such as `slice [:, ::64, 0, ::2]` names; all of it where it names none."""
    said = re.search(r"slice \[([^\]]*)\]", text)
    if said is None:
        return value
    parts: list[int | slice] = []
    for part in said[1].split(","):
        numbers = [int(n) if n.strip() else None for n in part.split(":")]
        parts.append(slice(*numbers) if len(numbers) > 1 else int(part))
    return value[tuple(parts)]
