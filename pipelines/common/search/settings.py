"""What every search is told beside a recipe: how its trials are compared, stopped and run side by side."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from vidmodels.core.recipe import Section


class TrialsSection(Section):
    """How trials run and when one is given up."""

    beside: ClassVar[tuple[str, ...]] = ("concurrent",)
    """Fields that change no result."""

    scheduler: Literal["asha", "none"] = "asha"
    """asha: trials that are behind the others at a third, a ninth ... of their training are stopped; none: all are trained."""
    grace: float = Field(0.1, gt=0, le=1)
    """Share of its training before a trial may be stopped (asha)."""
    reduction: float = Field(3, gt=1)
    """One of so many trials goes on at each comparison (asha); shares of the training grow by the same factor."""
    concurrent: int | None = Field(None, ge=1)
    """Trials at the same time; default: as many as the cluster has room for."""

    def identity(self) -> dict[str, Any]:
        return {key: value for key, value in super().identity().items() if key not in self.beside}


class SweepSection(TrialsSection):
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


def mode_of(metric: str) -> str:
    """Whether the best of a metric is its largest or its smallest value."""
    return "min" if "loss" in metric or "error" in metric else "max"
