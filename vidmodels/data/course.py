"""The course of a run as arithmetic: which sample numbers each step takes, in which shape, at which share of the rate.

A run is cut into phases; within a phase the steps go round the shapes of a cycle, which for most runs is one shape.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Shape:
    """A batch: so many videos over all workers, frames of a clip, and pixels of its side."""

    videos: int
    num_frames: int
    size: int


@dataclass(frozen=True)
class Phase:
    """Steps whose shapes go round a cycle, from its first; `rate` is the share of the peak learning rate.

    The last shape of the cycle is the phase's own, from which the others are made smaller.
    """

    steps: int
    cycle: tuple[Shape, ...]
    rate: float = 1.0

    @property
    def shape(self) -> Shape:
        return self.cycle[-1]

    @property
    def mean_videos(self) -> float:
        """Videos of a step, over a whole cycle."""
        return sum(shape.videos for shape in self.cycle) / len(self.cycle)

    def samples(self, steps: int) -> int:
        """Videos of the first so many steps."""
        rounds, rest = divmod(steps, len(self.cycle))
        ends = [0, *accumulate(shape.videos for shape in self.cycle)]
        return rounds * ends[-1] + ends[rest]

    def step_of(self, sample: int) -> int:
        """The step of a sample, both counted from the phase's start."""
        ends = list(accumulate(shape.videos for shape in self.cycle))
        rounds, rest = divmod(sample, ends[-1])
        return rounds * len(self.cycle) + bisect_right(ends, rest)


class Course:
    """Phases one after another; the last goes on for ever, so that there are samples after the end of a run."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        if not phases:
            raise ValueError("a course needs a phase")
        self.phases = tuple(phases)
        self._steps = [0, *accumulate(phase.steps for phase in self.phases)][:-1]
        self._samples = [0, *accumulate(phase.samples(phase.steps) for phase in self.phases)][:-1]
        self.steps = self._steps[-1] + self.phases[-1].steps

    def phase(self, step: int) -> Phase:
        """The phase that a step belongs to."""
        return self.phases[bisect_right(self._steps, step) - 1]

    def shape(self, step: int) -> Shape:
        """The shape of a step's batch."""
        place = bisect_right(self._steps, step) - 1
        cycle = self.phases[place].cycle
        return cycle[(step - self._steps[place]) % len(cycle)]

    def first(self, step: int) -> int:
        """The first sample number of a step, which is also how many samples the steps before it took."""
        place = bisect_right(self._steps, step) - 1
        return self._samples[place] + self.phases[place].samples(step - self._steps[place])

    def step_of(self, number: int) -> int:
        """The step that takes a sample number."""
        place = bisect_right(self._samples, number) - 1
        return self._steps[place] + self.phases[place].step_of(number - self._samples[place])

    def steps_in(self, samples: float) -> int:
        """Steps that take so many samples, rounded."""
        place = max(bisect_right(self._samples, samples) - 1, 0)
        return round(self._steps[place] + (samples - self._samples[place]) / self.phases[place].mean_videos)


@dataclass(frozen=True)
class MicroBatches(Sequence[range]):
    """The sample numbers of the micro-batches of steps `start` .. `stop` - 1 in their order, each made as it is asked for.

    shares: micro-batches of a step. They are dealt to the workers in turn: worker r of w takes those at r, r + w ...
    """

    course: Course
    shares: int
    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start) * self.shares

    def __getitem__(self, place):  # type: ignore[no-untyped-def, override]  # an integer or a slice
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(f"micro-batch {place} outside 0..{len(self) - 1}")
        step, part = divmod(place, self.shares)
        step += self.start
        micro = self.course.shape(step).videos // self.shares
        first = self.course.first(step) + part * micro
        return range(first, first + micro)
