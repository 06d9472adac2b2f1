"""Portions hold each clip once, in its order, and no more pixels than a CPU computes well."""

from __future__ import annotations

import pytest
import torch

from vidmodels.core.entry import InputSpec
from vidmodels.data.transforms import denormalise
from vidmodels.inference.portions import CACHED_PIXELS, at_once, portions

SPEC = InputSpec(num_frames=2, frame_stride=1, size=8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("frames", "side", "most", "expected"),
    [(16, 32, 8, 8), (16, 32, 100, 32), (4, 160, 8, 5), (1, 224, 8, 8), (13, 160, 8, 1), (16, 312, 8, 1), (16, 312, 1, 1)],
)
def test_large_clips_go_alone(one_thread, frames, side, most, expected):
    assert at_once((1, frames, side, side, 3), most) == expected


def test_every_clip_comes_once_with_its_rows(one_thread):
    clips = torch.randint(0, 256, (7, 2, 8, 8, 3), dtype=torch.uint8)
    numbers = torch.arange(7)
    found = list(portions(clips, SPEC, 3, beside=(numbers,)))
    assert [len(pixels) for pixels, _ in found] == [3, 3, 1]
    assert torch.equal(torch.cat([rows for _, rows in found]), numbers)
    back = denormalise(torch.cat([pixels for pixels, _ in found]), SPEC)
    torch.testing.assert_close(back, clips.permute(0, 4, 1, 2, 3) / 255)


def test_a_network_of_one_size_gets_that(one_thread):
    clips = torch.zeros(5, 16, 312, 312, 3, dtype=torch.uint8)
    spec = InputSpec(num_frames=16, frame_stride=1, size=312)
    assert [len(pixels) for (pixels,) in portions(clips, spec, 8)] == [1] * 5
    assert [len(pixels) for (pixels,) in portions(clips, spec, 8, fixed=3)] == [3, 2]


def test_threads_take_more(one_thread):
    shape = (1, 1, 1, CACHED_PIXELS, 3)
    assert at_once(shape, 8) == 1
    torch.set_num_threads(2)
    assert at_once(shape, 8) == 2
    assert at_once(shape, 8, "cuda") == 8
