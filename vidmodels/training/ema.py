"""An exponential moving average of a model's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vidmodels.core.errors import CheckpointError


class Ema:
    """Average of a model's floating-point state in float32; other buffers (counters) are copied.

    average <- decay * average + (1 - decay) * weights, after each optimiser step (Polyak and Juditsky 1992).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {
            name: value.detach().clone().float() if value.is_floating_point() else value.detach().clone()
            for name, value in model.state_dict().items()
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's weights by one step."""
        averages, values = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                averages.append(self.average[name])
                values.append(value.float())
            else:
                self.average[name].copy_(value)
        torch._foreach_lerp_(averages, values, 1.0 - self.decay)

    def state_dict(self) -> dict[str, Tensor]:
        """The averaged state under the model's own names."""
        return dict(self.average)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Replace the average. Raises CheckpointError where names or shapes differ."""
        for name in sorted(self.average.keys() ^ state.keys()):
            where = "the checkpoint" if name in self.average else "the model"
            raise CheckpointError(f"the averaged weights do not fit: {name!r} is missing in {where}")
        for name, value in self.average.items():
            if state[name].shape != value.shape:
                shapes = f"{tuple(state[name].shape)} instead of {tuple(value.shape)}"
                raise CheckpointError(f"the averaged weights do not fit: {name!r} has shape {shapes}")
            value.copy_(state[name])

    @contextlib.contextmanager
    def applied(self, model: nn.Module) -> Iterator[nn.Module]:
        """The model with the averaged weights inside the context, with its own ones after it.

        Buffers that change inside it (batch norms that are computed anew) stay with the average.
        """
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.average)
        try:
            yield model
            for name, value in model.named_buffers():
                if name in self.average:
                    self.average[name].copy_(value)
        finally:
            model.load_state_dict(own)
