"""Clips from which the ranges of int8 models are taken, and others to judge the models by.

N clips, T frames, S side of a crop, C colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.data.decode import VideoReader
from vidmodels.data.probe import Limits
from vidmodels.data.synthetic.render import draw
from vidmodels.data.synthetic.world import WorldSpec, sample_scene
from vidmodels.data.transforms import normalise
from vidmodels.inference.windows import read_clips, view_spans

CLIPS = 32
SMALLEST_SCENE = 16


@dataclass(frozen=True)
class Calibration:
    """clips: uint8 [N, T, S, S, 3] that ranges are taken from; others: of the same kind, to judge by; source: what they are."""

    clips: np.ndarray
    others: np.ndarray
    source: str

    @classmethod
    def halves(cls, clips: np.ndarray, source: str) -> Calibration:
        """Every second clip to calibrate with, the rest to judge by."""
        return cls(clips[::2], clips[1::2], source)


def video_calibration(videos: Sequence[str], spec: InputSpec, count: int = CLIPS, limits: Limits | None = None) -> Calibration:
    """About `count` clips, evenly over each video and over all videos.

    Raises MediaError for a video that cannot be read, DataError for one without frames.
    """
    each = max(2, -(-count // len(videos)))
    clips: list[np.ndarray] = []
    for video in videos:
        with VideoReader(video, limits) as reader:
            found = [group for _, group in read_clips(reader, view_spans(reader.info, spec, each), spec, 1, 1)]
        if not found:
            raise DataError(f"{video} has no frames to calibrate with: leave it out")
        clips += found
    return Calibration.halves(np.concatenate(clips), f"{len(videos)} videos")


def synthetic_calibration(spec: InputSpec, count: int = CLIPS) -> Calibration:
    """Clips of the synthetic world, for want of videos. Raises ConfigError for sides that it cannot draw."""
    if spec.view_size % 2 or spec.view_size < SMALLEST_SCENE:
        raise ConfigError(
            f"the synthetic world has no clips of {spec.view_size} pixels, only of even sides from {SMALLEST_SCENE} on: give "
            "videos to calibrate with"
        )
    world = WorldSpec(size=spec.view_size, num_frames=max(spec.num_frames, 2))
    clips = np.stack([draw(sample_scene(0, number, world))[0][: spec.num_frames] for number in range(count)])
    return Calibration.halves(clips, "the synthetic world")


def prepared(clips: np.ndarray, spec: InputSpec) -> Iterator[dict[str, Tensor]]:
    """The model's inputs of one clip after the other."""
    for clip in clips:
        pixels = torch.from_numpy(clip).permute(3, 0, 1, 2).unsqueeze(0).float().div_(255)
        yield {"clips": normalise(pixels, spec).contiguous()}
