"""Evaluation of detectors: every key frame once, undecoded ones apart, and numbers that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.data.videos import write
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import DataError
from vidmodels.core.recipe import ClipSection
from vidmodels.data.boxed_reader import WholeFrameReader
from vidmodels.data.formats.boxed import BoxesFormat, Names, listed
from vidmodels.training.action_evaluation import BoxScores, join_box_scores, score_key_frames, summarise_actions

HEADER = "video,time,x1,y1,x2,y2,label\n"


class Widths(nn.Module):
    """Logits of a box: its width and its height in pixels of the clip, over 10."""

    activation = "sigmoid"
    input = InputSpec(4, 1, 48)

    def forward(self, clips, boxes):
        self.sizes = [*getattr(self, "sizes", []), len(clips)]
        return torch.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 4] - boxes[:, 2]], 1) / 10


@pytest.fixture
def reader(tmp_path):
    for name, size in (("a", (48, 64)), ("b", (48, 64)), ("c", (64, 48))):
        write(tmp_path / f"{name}.mp4", 20, size=size)
    rows = "a,0.2,0,0,40,10,wide\na,0.4,0,0,10,40,tall\nb,0.2,0,0,30,8,wide\nb,0.2,4,4,12,44,tall\nc,0.2,0,0,20,10,wide\n"
    (tmp_path / "boxes.csv").write_text(HEADER + rows)
    boxes = BoxesFormat().read(str(tmp_path / "boxes.csv"), Names(("wide", "tall")))
    return WholeFrameReader(listed(boxes, None), ClipSection(num_frames=4, frame_stride=1), 48)


def test_frames_of_equal_size_are_scored_together(reader):
    model = Widths()
    found = score_key_frames(model, reader, range(4), batch_size=8)
    assert model.sizes == [3, 1]
    expected = 1 / (1 + math.exp(-4.0))
    assert found.scores[0][0, 0] == pytest.approx(expected, abs=1e-6)
    assert [len(found.scores[i]) for i in range(4)] == [1, 1, 2, 1]


def test_a_model_that_tells_wide_from_tall_is_perfect(reader):
    found = score_key_frames(Widths(), reader, range(4))
    boxes = reader.manifest.boxes
    result = summarise_actions(join_box_scores([found], 4), boxes, boxes, ("wide", "tall"))
    assert result.metrics == {"map": 1.0, "key_frames": 4.0, "boxes": 5.0, "undecoded": 0.0}
    assert [(row.name, row.support) for row in result.per_class] == [("wide", 3), ("tall", 2)]


def test_wrong_scores_cost_precision(reader):
    found = score_key_frames(Widths(), reader, range(4))
    swapped = BoxScores({number: scores[:, ::-1] for number, scores in found.scores.items()})
    boxes = reader.manifest.boxes
    assert summarise_actions(swapped, boxes, boxes, ("wide", "tall")).metrics["map"] < 0.6
    only = summarise_actions(found, boxes, boxes, ("wide", "tall"), evaluated=(1,))
    assert [row.name for row in only.per_class] == ["tall"]


def test_key_frames_that_cannot_be_read_count_neither_way(reader, tmp_path):
    (tmp_path / "b.mp4").write_bytes(b"damaged" * 50)
    found = score_key_frames(Widths(), reader, range(4))
    assert list(found.errors) == [2]
    boxes = reader.manifest.boxes
    result = summarise_actions(join_box_scores([found], 4), boxes, boxes, ("wide", "tall"))
    assert (result.metrics["map"], result.metrics["undecoded"], result.metrics["boxes"]) == (1.0, 1.0, 3.0)
    assert "b.mp4" in result.errors["b@0.200"]


def test_workers_parts_are_joined_and_each_frame_comes_once(reader):
    parts = [score_key_frames(Widths(), reader, range(rank, 4, 2)) for rank in range(2)]
    whole = score_key_frames(Widths(), reader, range(4))
    joined = join_box_scores(parts, 4)
    for number in range(4):
        np.testing.assert_allclose(joined.scores[number], whole.scores[number], atol=1e-6)
    with pytest.raises(DataError, match="2 key frames were not evaluated and 0 twice"):
        join_box_scores(parts[:1], 4)
    with pytest.raises(DataError, match="0 key frames were not evaluated and 2 twice"):
        join_box_scores([*parts, parts[0]], 4)


def test_nothing_decoded_is_an_error(reader):
    boxes = reader.manifest.boxes
    with pytest.raises(DataError, match="no key frame could be evaluated"):
        summarise_actions(BoxScores({}, {0: "broken"}), boxes, boxes, ("wide", "tall"))
