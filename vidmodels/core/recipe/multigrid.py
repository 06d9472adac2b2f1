"""Recipe section of multigrid training: batches of many small clips first, of few large ones later."""

from __future__ import annotations

from pydantic import Field, model_validator

from vidmodels.core.recipe.base import Section
from vidmodels.core.recipe.data import ClipSection
from vidmodels.core.recipe.train import ScheduleSection, TrainSection

HALF = 0.5**0.5


class MultigridSection(Section):
    """Multigrid training (Wu et al., CVPR 2020): batches grow as clips shrink, so that each step costs about the same."""

    long_cycle: bool = False
    """Go through the shapes of `long_cycle_factors` in each step of the learning rate."""
    long_cycle_factors: tuple[tuple[float, float], ...] = ((0.25, HALF), (0.5, HALF), (0.5, 1.0), (1.0, 1.0))
    """Shapes as (frames, side of the crop), shares of the clip's own."""
    short_cycle: bool = False
    """Change the crop from step to step, through `short_cycle_factors` and then the long cycle's own."""
    short_cycle_factors: tuple[float, ...] = (0.5, HALF)
    """Sides of the crop, shares of the clip's own."""
    epoch_factor: float = Field(1.5, gt=0)
    """Epochs of the run for each of `schedule.epochs`; there are still fewer steps, because batches are larger."""
    bn_base_size: int = Field(8, ge=1)
    """Clips over which batch norms take their statistics, on parts of a worker's batch or over several workers."""

    @property
    def on(self) -> bool:
        """Whether there is a cycle at all."""
        return self.long_cycle or self.short_cycle

    @property
    def passes(self) -> float:
        """Passes over the data for each of `schedule.epochs`."""
        return self.epoch_factor if self.on else 1.0

    @model_validator(mode="after")
    def _shares(self):
        if not self.long_cycle_factors or self.long_cycle_factors[-1] != (1.0, 1.0):
            raise ValueError(f"multigrid.long_cycle_factors {self.long_cycle_factors} must end with the whole clip, (1, 1)")
        for factor in (*(part for pair in self.long_cycle_factors for part in pair), *self.short_cycle_factors):
            if not 0 < factor <= 1:
                raise ValueError(f"a multigrid factor of {factor} is not a share of the clip: give one above 0, at most 1")
        return self

    def check(self, clip: ClipSection, schedule: ScheduleSection, train: TrainSection) -> None:
        """Raise ValueError where the cycles do not fit the rest of a recipe."""
        if not self.on:
            return
        if train.sync_bn:
            raise ValueError(
                "train.sync_bn and multigrid exclude each other: multigrid.bn_base_size says over how many clips batch norms go"
            )
        if not self.long_cycle:
            return
        if not schedule.milestones or schedule.milestones[-1] >= schedule.epochs:
            raise ValueError(
                f"multigrid.long_cycle needs steps of the learning rate within the {schedule.epochs:g} epochs, and "
                f"schedule.milestones is {schedule.milestones}: give some, or the short cycle alone"
            )
        for factor, _ in self.long_cycle_factors:
            if not (clip.num_frames * factor).is_integer():
                raise ValueError(
                    f"data.clip.num_frames {clip.num_frames} has no share of {factor:g} in whole frames, which "
                    "multigrid.long_cycle_factors asks for: choose another length or other factors"
                )
