"""Conformance cases of small multiscale vision transformers, in every published layout, and what they must answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.backbones.mvit_plain import Shape, config_of, manifest, run
from tests.conformance.conformance import inputs_of, relative_error, state_of

Layout = Callable[[dict[str, Tensor]], dict[str, Tensor]]
TEXTS = {"last_tokens": "slice [:, ::2, 1:9]", "logits": "whole", "block_1_mean": "output of block 1, mean over channels"}


def make_case(system: str, s: Shape, name: str, layout: Layout | None = None, **changes: Any) -> dict:
    """A case whose state has the keys of a layout (PySlowFast's by default); changes: of the case's entries.

    Values are made from the names of the keys, so `ties` gives other layouts the values of PySlowFast's.
    """
    shapes: dict[str, Any] = {key: torch.empty(shape) for key, shape in manifest(s).items()}
    keys = layout(shapes) if layout else shapes
    size = [s.size, s.size]
    return {
        "system": system, "config": config_of(s), "tolerance": 1e-4, "outputs": TEXTS,
        "inputs": {"clips": {"kind": "normal", "name": name, "shape": [2, 3, *size] if s.image else [2, 3, s.frames, *size]}},
        "state": {key: {"shape": list(value.shape), "dtype": "float32"} for key, value in keys.items()},
        "params": sum(value.numel() for value in shapes.values()), **changes,
    }  # fmt: skip


def check(run_case: Callable[[dict], dict[str, np.ndarray]], s: Shape, case: dict, back: Layout | None = None) -> None:
    """The adapter's answers are those of the plain model; back: the case's state under PySlowFast's keys."""
    state = {key: torch.from_numpy(np.asarray(value)) for key, value in state_of(case).items()}
    clips = torch.from_numpy(inputs_of(case)["clips"])
    expected = run(back(state) if back else state, s, clips.unsqueeze(2) if clips.ndim == 4 else clips)
    answers = run_case(case)
    assert relative_error(answers["logits"], expected["logits"].numpy()) < 1e-5
    assert relative_error(answers["last_tokens"], expected["last_tokens"][:, ::2, 1:9].numpy()) < 1e-5
    assert relative_error(answers["block_1_mean"], expected["block_1"].mean(-1).numpy()) < 1e-5


def renamed_back(s: Shape, layout: Layout) -> Layout:
    """The way back from a layout to PySlowFast's keys, found by following numbered tensors through it."""
    numbers = {key: torch.full(shape, float(i)) for i, (key, shape) in enumerate(manifest(s).items())}
    names = list(numbers)

    def back(state: dict[str, Tensor]) -> dict[str, Tensor]:
        found: dict[str, list[Tensor]] = {}
        for key, value in layout(numbers).items():
            if "_attention_pool_" not in key:
                found.setdefault(names[int(value.flatten()[0])], []).append(state[key])
        return {key: torch.cat(parts).reshape(manifest(s)[key]) for key, parts in found.items()}

    return back
