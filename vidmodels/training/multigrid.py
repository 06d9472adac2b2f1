"""The phases of multigrid training ("A Multigrid Method for Efficiently Training Video Models", Wu et al., CVPR 2020).

B videos of a batch, T frames of a clip, S pixels of its side: batches grow so that B x T x S x S stays what it was.
"""

from __future__ import annotations

from itertools import pairwise

from vidmodels.core.recipe import ClipSection, MultigridSection, ScheduleSection
from vidmodels.data.course import Phase, Shape


def short_cycle(grid: MultigridSection, clip: ClipSection, shape: Shape) -> tuple[Shape, ...]:
    """The shapes that steps go round: smaller crops, shares of the clip's own, then the given shape; alone where it is off.

    A crop that would be larger than the shape's is as large; so half of a long cycle's shapes have two different crops.
    """
    if not grid.short_cycle:
        return (shape,)
    sides = [min(round(clip.size * factor), shape.size) for factor in grid.short_cycle_factors]
    return (*(Shape(shape.videos * round((shape.size / side) ** 2), shape.num_frames, side) for side in sides), shape)


def long_cycle(grid: MultigridSection, clip: ClipSection, batch: int) -> list[Shape]:
    """The shapes of the long cycle from the coarsest to the clip's own, of which a batch has `batch` videos."""
    shapes = []
    for time, space in grid.long_cycle_factors:
        frames, side = round(clip.num_frames * time), round(clip.size * space)
        growth = clip.num_frames * clip.size**2 / (frames * side**2)
        shapes.append(Shape(batch * round(growth), frames, side))
    return shapes


def multigrid_phases(schedule: ScheduleSection, clip: ClipSection, grid: MultigridSection, epoch_length: int) -> list[Phase]:
    """The phases of a recipe with a long cycle.

    Each step of the learning rate goes through the whole cycle, with as many steps in each shape, at rates that grow with
    the batch (but not within a short cycle). The last step of the rate, at the clip's own shape, is fine-tuning: its first
    half has the rate of the step before. So many steps are saved as batches are larger, and all of them are then stretched
    until the run has `epoch_factor` times the epochs.
    """
    batch = schedule.batch_size
    cycles = [short_cycle(grid, clip, shape) for shape in long_cycle(grid, clip, batch)]
    growths = [Phase(1, cycle).mean_videos / batch for cycle in cycles]
    mean_growth = sum(growths) / len(growths)
    starts = (0.0, *schedule.milestones)
    tuning = schedule.epochs - starts[-1]
    stretch = grid.epoch_factor * schedule.epochs / (starts[-1] + tuning * growths[-1] / mean_growth)
    # steps at the recipe's own batch that an epoch of the schedule becomes
    per_epoch = stretch / mean_growth * epoch_length / batch

    parts: list[tuple[float, tuple[Shape, ...], float]] = []
    for number, (start, end) in enumerate(pairwise(starts)):
        for cycle in cycles:
            rate = schedule.gamma**number * cycle[-1].videos / batch
            parts.append(((end - start) / len(cycles) * per_epoch, cycle, rate))
    last = len(schedule.milestones)
    parts += [(tuning / 2 * per_epoch, cycles[-1], schedule.gamma**number) for number in (last - 1, last)]
    return whole_steps(parts)


def whole_steps(parts: list[tuple[float, tuple[Shape, ...], float]]) -> list[Phase]:
    """Phases of (steps, cycle, rate) whose ends are rounded, so that the errors do not add up."""
    phases, end = [], 0.0
    for steps, cycle, rate in parts:
        start, end = end, end + steps
        phases.append(Phase(round(end) - round(start), cycle, rate))
    return phases
