"""The cache of rendered videos, which several runs may fill at once."""

from __future__ import annotations

import numpy as np
import pytest

from vidmodels.core.errors import DataError
from vidmodels.core.recipe import SyntheticSection
from vidmodels.data.decode import VideoReader
from vidmodels.data.synthetic.cache import synthetic_manifest

SECTION = SyntheticSection(num_videos=10, size=16, num_frames=4)


def test_videos_are_rendered_once_and_equal_for_equal_seeds(tmp_path):
    first = synthetic_manifest(SECTION, "train", tmp_path / "a")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "a").rglob("*.mp4")}
    assert len(times) == len(first) == 10
    assert synthetic_manifest(SECTION, "train", tmp_path / "a").digest == first.digest
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert synthetic_manifest(SECTION, "train", tmp_path / "b").digest == first.digest
    assert synthetic_manifest(SECTION.replace(seed=1), "train", tmp_path / "a").digest != first.digest


def test_what_somebody_else_is_writing_is_left_alone(tmp_path):
    """A file that is looked at may be gone a moment later, as a link to nowhere is."""
    manifest = synthetic_manifest(SECTION, "val", tmp_path)
    folder = next(tmp_path.rglob("*.mp4")).parent
    (folder / ".tmp-somebody").symlink_to(folder / "gone")
    assert synthetic_manifest(SECTION, "val", tmp_path).digest == manifest.digest


def test_a_video_that_was_damaged_is_rendered_again(tmp_path):
    manifest = synthetic_manifest(SECTION, "val", tmp_path)
    path = sorted(tmp_path.rglob("*.mp4"))[0]
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    assert synthetic_manifest(SECTION, "val", tmp_path).digest == manifest.digest
    assert path.read_bytes() == whole
    with VideoReader(str(path)) as video:
        assert video.read([0.0]).frames.dtype == np.uint8


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot create the cache"):
        synthetic_manifest(SECTION, "val", tmp_path / "file")
