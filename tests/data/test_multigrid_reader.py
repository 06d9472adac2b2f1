"""Samples in the shapes of their steps: frames, sides, strides, jitter, and what does not depend on the shape."""

from __future__ import annotations

import numpy as np
import pytest

from tests.data.videos import write
from vidmodels.core.recipe import ClipSection
from vidmodels.data.course import Course, Phase, Shape
from vidmodels.data.manifest import Manifest
from vidmodels.data.multigrid_reader import MultigridReader, resampled
from vidmodels.data.order import Order
from vidmodels.data.reader import TrainReader
from vidmodels.data.sampling import rng_for

CLIP = ClipSection(num_frames=8, frame_stride=2, size=32, crop="random_short_side", short_side=(32, 40))
COURSE = Course([Phase(2, (Shape(4, 2, 16), Shape(2, 2, 24))), Phase(1, (Shape(1, 8, 32),))])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    rows = [{"id": str(i), "uri": str(write(folder / f"{i}.mp4", 40, size=(48, 64))), "label": i} for i in range(3)]
    return Manifest.from_rows([*rows, {"id": "gone", "uri": str(folder / "gone.mp4"), "label": 0}])


def readers(manifest) -> tuple[MultigridReader, TrainReader]:
    order = Order([4], seed=1)
    return MultigridReader((manifest,), order, CLIP, 5, course=COURSE), TrainReader((manifest,), order, CLIP, 5)


def test_samples_have_the_shape_of_their_step(manifest):
    reader, plain = readers(manifest)
    shapes = [reader.read(number)["clips"].shape[1:4] for number in range(8)]
    assert shapes == [(2, 16, 16)] * 4 + [(2, 24, 24)] * 2 + [(8, 32, 32)] * 2
    errors = [reader.read(number)["error"] != "" for number in range(8)]
    assert sum(errors) == 2, "a file that is gone is a row of its step's shape"
    for number in (6, 7):
        np.testing.assert_array_equal(reader.read(number)["clips"], plain.read(number)["clips"])
    assert reader.failed(0, "why")["clips"].shape == (1, 2, 16, 16, 3)


def test_a_batch_is_read_alike_wherever_it_is_read(manifest):
    first, second = readers(manifest)[0], readers(manifest)[0]
    np.testing.assert_array_equal(first.read_batch(range(4))["clips"], second.read_batch(range(4))["clips"])


def test_the_stride_is_drawn_up_to_the_length_of_the_whole_clip():
    clips = [resampled(CLIP, 2, 16, rng_for(0, i)) for i in range(400)]
    counts = np.bincount([clip.frame_stride for clip in clips])
    assert len(counts) == 9
    assert (counts[:2] == 0).all()
    assert (counts[2:] > 30).all(), "2 to 8 = 2 * 8 / 2, alike"
    assert {resampled(CLIP, 8, 32, rng_for(0, i)).frame_stride for i in range(50)} == {2}


def test_small_crops_lower_the_shortest_side_in_proportion():
    clip = CLIP.replace(size=224, short_side=(256, 320))
    assert [resampled(clip, 8, size, rng_for(0)).short_side for size in (224, 158, 112)] == [(256, 320), (181, 320), (128, 320)]
