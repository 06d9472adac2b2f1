"""The crowded world: several actors, their boxes at the key frame, and the same files each time."""

from __future__ import annotations

import numpy as np
import pytest

from vidmodels.core.recipe import SyntheticSection
from vidmodels.data.synthetic.cache import synthetic_boxes, synthetic_scene
from vidmodels.data.synthetic.crowd import crowd_boxes, key_time
from vidmodels.data.synthetic.motion import CLASSES
from vidmodels.data.synthetic.render import render
from vidmodels.data.synthetic.world import WorldSpec

SECTION = SyntheticSection(num_videos=12, size=64)
SPEC = WorldSpec.of(SECTION, setting="crowd")


def scenes(count=40):
    return [synthetic_scene(SECTION, "train", index, SPEC) for index in range(count)]


def test_two_or_three_actors_with_motions_of_all_classes():
    found = scenes(100)
    actors = [[item for item in scene.objects if item.role == "actor"] for scene in found]
    assert {len(each) for each in actors} == {2, 3}
    assert all(len(each) == len(scene.meta["motions"]) for each, scene in zip(actors, found))
    assert {name for scene in found for name in scene.meta["motions"]} == set(CLASSES)
    assert {scene.label for scene in found} == {-1}


def test_boxes_are_those_of_the_rendered_truth():
    for scene in scenes(5):
        truth = render(scene).truth
        actors = [number for number, item in enumerate(scene.objects) if item.role == "actor"]
        expected = [truth.boxes[8, number].tolist() for number in actors if np.ptp(truth.boxes[8, number][[0, 2]]) >= 4
                    and np.ptp(truth.boxes[8, number][[1, 3]]) >= 4]  # fmt: skip
        assert [[row[k] for k in ("x1", "y1", "x2", "y2")] for row in crowd_boxes(scene, "v.mp4", 1.0)] == expected
        assert truth.captions == truth.questions == ()


def test_actors_keep_to_quarters_of_their_own():
    apart = []
    for scene in scenes(60):
        centres = np.array([item.pose[:, :2].mean(0) for item in scene.objects])
        gaps = np.linalg.norm(centres[:, None] - centres, axis=-1)
        apart.append(gaps[~np.eye(len(centres), dtype=bool)].min())
    assert np.mean(np.array(apart) > 0.25) > 0.9


def test_the_key_frame_is_shown_at_its_time():
    assert key_time(16, 8) == 1.0625
    assert int(key_time(16, 8) * 8) == 8


def test_the_cache_answers_the_same_and_splits_differ(tmp_path):
    first = synthetic_boxes(SECTION, "train", tmp_path)
    again = synthetic_boxes(SECTION, "train", tmp_path)
    assert first.digest == again.digest
    assert first.classes == CLASSES
    assert 10 <= len(first) <= 12
    assert first.digest != synthetic_boxes(SECTION, "val", tmp_path).digest
    larger = synthetic_boxes(SECTION.replace(num_videos=14), "train", tmp_path)
    np.testing.assert_array_equal(larger.boxes.boxes.xyxy[: len(first.boxes.boxes)], first.boxes.boxes.xyxy)


def test_figures_come_one_at_a_time():
    from vidmodels.core.errors import ConfigError

    with pytest.raises(ConfigError, match="only in setting 'actions'"):
        WorldSpec(actors="figures", setting="crowd")
