"""A reader whose clips have the shape that the course of a run gives to the step of each sample.

T frames of a clip, S pixels of its side. Free of torch, so that decoders stay small.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vidmodels.core.recipe import ClipSection
from vidmodels.data.course import Course
from vidmodels.data.order import hash_key
from vidmodels.data.reader import Row, TrainReader
from vidmodels.data.sampling import rng_for


@dataclass(frozen=True)
class MultigridReader(TrainReader):
    """Reads each sample as a TrainReader does whose clips have another shape; samples of one step have the same shape.

    course: of the run; the other arguments are TrainReader's.
    """

    course: Course = field(kw_only=True)

    def read(self, number: int, apart: bool = False) -> Row:
        return self.at(number).read(number, apart)

    def failed(self, number: int, error: str) -> Row:
        return self.at(number).failed(number, error)

    def at(self, number: int) -> TrainReader:
        """The reader of a sample, a function of seed and number alone."""
        shape = self.course.shape(self.course.step_of(number))
        where = self.order(number)
        rng = rng_for(self.seed, hash_key(where.source, where.draw, where.index), 3)
        clip = resampled(self.clip, shape.num_frames, shape.size, rng)
        return TrainReader(self.manifests, self.order, clip, self.seed, self.hearing)


def resampled(clip: ClipSection, num_frames: int, size: int, rng: np.random.Generator) -> ClipSection:
    """The clip on a coarser grid of `num_frames` frames and `size` pixels (Wu et al. 2020, section 3.3).

    The stride is drawn between the clip's own and that at which so many frames last as long as the clip; the shortest length
    of the short side shrinks with the crop, so that a small crop may show as much of a frame as a large one.
    """
    longest = clip.frame_stride * (clip.num_frames // num_frames)
    shortest = round(clip.short_side[0] * size / clip.size)
    return clip.replace(
        num_frames=num_frames,
        frame_stride=int(rng.integers(clip.frame_stride, longest + 1)),
        size=size,
        short_side=(shortest, clip.short_side[1]),
    )
