"""What every search is told beside a recipe: how its trials are compared, stopped and run side by side."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import Section

Share = Annotated[float, Field(ge=0, lt=1)]
Sampling = Literal["random", "tube", "frame", "block", "per_frame"]
Axis = Literal["fast", "temporal", "spatial", "depth", "width", "bottleneck"]


class TrialsSection(Section):
    """How trials run side by side."""

    beside: ClassVar[tuple[str, ...]] = ("concurrent",)
    """Fields that change no result."""

    concurrent: int | None = Field(None, ge=1)
    """Trials at the same time; default: as many as the cluster has room for."""

    def identity(self) -> dict[str, Any]:
        return {key: value for key, value in super().identity().items() if key not in self.beside}


class StoppingSection(TrialsSection):
    """When a trial is given up."""

    scheduler: Literal["asha", "none"] = "asha"
    """asha: trials that are behind the others after `grace` of their training, three times as much ... are stopped; none: all
    are trained."""
    grace: float = Field(0.1, gt=0, le=1)
    """Share of its training before a trial may be stopped (asha)."""
    reduction: float = Field(3, gt=1)
    """One of so many trials goes on at each comparison (asha); shares of the training grow by the same factor."""


class SweepSection(StoppingSection):
    """A sweep over keys of a recipe."""

    space: str = ""
    """What varies: a JSON file, or text such as 'optim.lr=1e-4..1e-2:log optim.weight_decay=0.0,0.05'."""
    samples: int | None = Field(None, ge=1)
    """Settings drawn at random; default: all combinations, where the space has lists only."""
    seed: int = 0
    """Seed of the draws."""
    metric: str | None = None
    """What trials are compared by; default: that by which the recipe's best checkpoint is kept."""
    mode: Literal["max", "min"] | None = None
    """Whether the largest or the smallest is best; default: the smallest of a loss, the largest of all else."""


class ExpandSection(TrialsSection):
    """An expansion of X3D: in each step one axis of a network grows, that which gives the best network."""

    target_gmacs: float | None = Field(None, gt=0)
    """Cost at which the expansion ends, in 10^9 multiply-adds of a clip (cost macs)."""
    target_mparams: float | None = Field(None, gt=0)
    """The same in 10^6 parameters (cost params)."""
    target_ms: float | None = Field(None, gt=0)
    """The same in milliseconds of a clip, measured where the program runs (cost latency)."""
    cost: Literal["macs", "params", "latency"] = "macs"
    """What a step multiplies."""
    goodness: str = "val_top1"
    """What is best: a metric of the run, of losses the smallest; or latency, milliseconds of a clip measured after training."""
    axes: tuple[Axis, ...] = ("fast", "temporal", "spatial", "depth", "width", "bottleneck")
    """Axes that may grow: frames of the same time, frames of a longer time, pixels, blocks, channels, inner channels."""
    rate: float = Field(2.0, gt=1)
    """Factor of the cost in each step."""
    video_length: int | None = Field(None, ge=1)
    """Frames of the shortest video, at data.clip.fps where that is set; no clip exceeds it. Default: that of the synthetic
    world."""
    size_step: int = Field(8, ge=1)
    """Smallest change of data.clip.size, of which it stays a multiple."""
    width_step: float = Field(0.1, gt=0)
    """Smallest change of the width factor; channels are rounded to multiples of 8."""
    bottleneck_step: float = Field(0.25, gt=0)
    """Smallest change of the bottleneck factor."""

    @model_validator(mode="after")
    def _axes_once(self):
        if not self.axes or len(set(self.axes)) < len(self.axes):
            raise ValueError(f"search.axes {self.axes} must name one axis or more, each once")
        return self

    @property
    def target(self) -> float:
        """The target in units of the cost: multiply-adds, parameters or milliseconds. Raises ConfigError."""
        fields = {"macs": ("target_gmacs", 1e9), "params": ("target_mparams", 1e6), "latency": ("target_ms", 1.0)}
        name, unit = fields[self.cost]
        given = [field for field, _ in fields.values() if getattr(self, field) is not None]
        if given != [name]:
            option = f"--search.{name.replace('_', '-')}"
            raise ConfigError(f"search.cost {self.cost!r} needs {option} and no other target, and {given or 'none'} is given")
        return getattr(self, name) * unit


class MaskingSection(StoppingSection):
    """A sweep over what a masked autoencoder does not see."""

    ratios: tuple[Share, ...] = (0.5, 0.75, 0.9, 0.95)
    """Shares of the tokens that are masked."""
    samplings: tuple[Sampling, ...] = ("random", "tube", "frame")
    """Ways of masking; see task.mask_sampling."""
    decoder_dims: tuple[int, ...] = ()
    """Widths of the decoder; default: the recipe's."""
    decoder_depths: tuple[int, ...] = ()
    """Blocks of the decoder; default: the recipe's."""
    equal: Literal["epochs", "tokens", "both"] = "both"
    """What trials have the same of: passes over the data; tokens that the encoder sees, the steps of a ratio being multiplied
    by (1 - the recipe's ratio) / (1 - ratio); or both, one after the other."""
    knn_videos: int = Field(1000, ge=1)
    """Training videos whose features labelled validation videos are compared with, which gives a trial's score."""

    @model_validator(mode="after")
    def _some(self):
        for name in ("ratios", "samplings"):
            if not getattr(self, name):
                raise ValueError(f"search.{name} is empty: name one or more")
        return self


def mode_of(metric: str) -> str:
    """Whether the best of a metric is its largest or its smallest value."""
    return "min" if any(word in metric for word in ("loss", "error", "latency")) else "max"
