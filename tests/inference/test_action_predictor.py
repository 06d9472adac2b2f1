"""The action predictor on a model whose answers can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.data.test_frames import pictures
from tests.data.videos import number_of, numbered
from vidmodels import zoo
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, DataError, MediaError, WeightsError
from vidmodels.core.structures import Boxes
from vidmodels.data.formats.ava import read_ava, read_detections
from vidmodels.data.frames import FrameReader
from vidmodels.data.keyframes import BoxRow, KeyFrames
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.inference.action_predictor import ActionPredictor
from vidmodels.inference.moments import key_times
from vidmodels.inference.predictor import Predictor
from vidmodels.metrics.detection import action_precision
from vidmodels.systems.slowfast.builders import single_pathway

SPEC = InputSpec(num_frames=4, frame_stride=2, size=24, mean=(0.0,) * 3, std=(1.0,) * 3, test_size=32)


class Brightness(nn.Module):
    """Logits 8 x mean - 4 of each box, and the contrary: class `light` where the box is light."""

    num_classes = 2
    activation = "sigmoid"

    def __init__(self):
        super().__init__()
        self.clips = []

    def forward(self, clips, boxes):
        self.clips.append(tuple(clips.shape))
        rows = []
        for clip, *box in boxes.tolist():
            x1, y1, x2, y2 = map(round, box)
            rows.append(8 * clips[int(clip), :, :, y1:y2, x1:x2].mean() - 4)
        light = torch.stack(rows) if rows else torch.zeros(0)
        return torch.stack([light, -light], 1)


@pytest.fixture
def video(tmp_path):
    """6 s at 8 frames per second, 96 x 64: dark, but for a light square that moves to the right by 8 pixels a second."""
    frames = np.full((48, 64, 96, 3), 20, np.uint8)
    for number in range(48):
        frames[number, 20:44, 8 + number : 32 + number] = 230
    path = tmp_path / "square.mp4"
    path.write_bytes(encode_mp4(frames, 8))
    return str(path)


def place(time):
    return [8 + 8 * time, 20, 32 + 8 * time, 44]


def boxes_at(*times, person=None, extra=()):
    rows = [BoxRow("square", time, tuple(place(time)), person=person) for time in times]
    rows += [BoxRow("square", time, (0.0, 48.0, 40.0, 60.0)) for time in extra]
    return KeyFrames.from_rows(rows, "boxes.csv")


def predictor(**settings):
    return ActionPredictor(Predictor(Brightness(), SPEC, ["light", "dark"], **settings))


def test_persons_are_followed_and_named(video):
    result = predictor().predict(video, boxes_at(0.5, 1.5, 2.5, 3.5, 4.5, extra=(2.5, 3.5)))
    first, second = result.persons
    assert first.times.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert first.xyxy[2].tolist() == place(2.5)
    assert second.times.tolist() == [2.5, 3.5]
    assert [(s.person, s.action, s.start, s.end) for s in result.spans()] == [(1, "light", 0, 5), (2, "dark", 2, 4)]
    assert (result.width, result.height, result.step) == (96, 64, 1.0)
    # a window of 4 frames 0.25 s apart around the moment: the square fills about 9/10 of its box
    assert first.scores[2, 0] == pytest.approx(1 / (1 + np.exp(-(8 * 0.83 - 4))), abs=0.03)
    assert first.scores.sum(1) == pytest.approx(np.ones(5))


def test_whole_frames_at_the_test_size(video):
    made = predictor(batch_size=2)
    made.predict(video, boxes_at(0.5, 1.5, 2.5))
    assert made.opened.model.clips == [(2, 3, 4, 32, 48), (1, 3, 4, 32, 48)]


def test_groups_do_not_change_answers(video):
    boxes = boxes_at(0.5, 1.5, 2.5, 3.5, 4.5, extra=(0.5, 2.5))
    one, many = (predictor(batch_size=size).predict(video, boxes) for size in (1, 8))
    for a, b in zip(one.persons, many.persons):
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-6)
        np.testing.assert_array_equal(a.times, b.times)


def test_close_boxes_are_followed_and_thinned(video):
    dense = boxes_at(*(n / 8 for n in range(40)))
    (who,) = predictor().predict(video, dense, step=1.0).persons
    assert len(who.times) == 40
    assert who.action_times.tolist() == [0, 1, 2, 3, 4]
    result = predictor().predict(video, boxes_at(0, 2, 4), step=1.0)
    assert result.step == 2.0  # the file has no more


def test_stream_tells_moments_in_order(video):
    moments = list(predictor(batch_size=2).stream(video, boxes_at(0.5, 0.75, 1.5, 2.5)))
    assert [moment.time for moment in moments] == [0.5, 0.75, 1.5, 2.5]
    assert [moment.scores is None for moment in moments] == [False, True, False, False]
    assert [moment.persons for moment in moments] == [(1,)] * 4


def test_a_detector_finds_the_people(video):
    asked = []

    def detect(frames):
        asked.append(len(frames))
        found = []
        for frame in frames:
            ys, xs = np.nonzero(frame[..., 0] > 128)
            found.append([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]] if len(xs) else [])
        return found

    result = predictor().predict(video, detect, step=1.0)
    assert sum(asked) == 6
    (who,) = result.persons
    assert who.times.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    np.testing.assert_allclose(who.xyxy, [place(time) for time in who.times], atol=2)
    assert [(s.action, s.start, s.end) for s in result.spans()] == [("light", 0, 6)]


def test_a_detector_that_sees_nobody(video):
    result = predictor().predict(video, lambda frames: [[] for _ in frames])
    assert result.persons == ()
    assert result.spans() == []
    assert predictor().opened.model.clips == []


def test_a_detector_may_name_and_overshoot(video):
    def detect(frames):
        return [Boxes([[-5, -5, 40, 40], [90, 10, 200, 30], [100, 0, 110, 10]], persons=["a", "b", "c"]) for _ in frames]

    result = predictor().predict(video, detect, step=3.0)
    assert [who.name for who in result.persons] == ["a", "b"]  # c is outside
    assert result.persons[0].xyxy[0].tolist() == [0, 0, 40, 40]
    with pytest.raises(DataError, match="the detector gave boxes for 1 of 2 frames"):
        predictor().predict(video, lambda frames: [[]], step=3.0)


def test_key_times():
    from vidmodels.data.probe import VideoInfo

    def info(seconds):
        return VideoInfo(seconds, 25, 10, 10, None, "", "", "")

    assert key_times(info(3.0), 1.0) == [0.5, 1.5, 2.5]
    assert key_times(info(3.4), 1.0) == [0.5, 1.5, 2.5]
    assert key_times(info(3.6), 1.0) == [0.5, 1.5, 2.5, 3.5]
    assert key_times(info(0.2), 1.0) == [0.1]


def test_pictures_of_frames_are_a_video(tmp_path):
    paths = pictures(tmp_path, 40, (64, 96))
    with FrameReader(paths, 8, "clip") as video:
        rows = [BoxRow("clip", 2.0, (0.0, 32.0, 96.0, 64.0))]
        result = predictor().predict(video, KeyFrames.from_rows(rows, "b"))
    (who,) = result.persons
    shown = np.mean([numbered(n, 64, 96)[32:].mean() for n in (12, 14, 16, 18)]) / 255
    assert number_of(numbered(12, 64, 96)) == 12
    assert who.scores[0, 0] == pytest.approx(1 / (1 + np.exp(-(8 * shown - 4))), abs=0.02)


def test_avas_protocol(tmp_path, video):
    """From AVA's lists to the mean average precision, measured on the boxes as they stand in the lists."""
    truth, found = tmp_path / "truth.csv", tmp_path / "found.csv"
    square, dark = "0.1458,0.3125,0.3958,0.6875", "0.5,0.8,0.9,0.95"  # where they are 0.75 s after the start
    truth.write_text(f"square,0902,{square},1,1\nsquare,0902,{dark},2,2\n")
    found.write_text(f"square,0902,{dark},,0.95\nsquare,0902,{square},,0.9\nsquare,0902,0.0,0.0,0.1,0.1,,0.3\n")
    true, detections = read_ava(str(truth), 2, origin=901.25), read_detections(str(found), num_classes=2, origin=901.25)
    moments = predictor().stream(video, detections)
    scored = {frame[:2]: (frame.boxes.xyxy, moment.scores) for frame, moment in zip(detections, moments)}
    result = action_precision(true.truth(2), scored, 2)
    assert (result.mean, result.boxes, result.support.tolist()) == (1.0, 2, [1, 1])


def test_a_real_detector_of_the_family(video):
    torch.manual_seed(0)
    model = single_pathway("slow", detection=True, width=8, depth=(1, 1, 1, 1), num_classes=5, activation="sigmoid")
    made = ActionPredictor(Predictor(model, InputSpec(4, 2, 64)))
    result = made.predict(video, boxes_at(1.0, 2.0, extra=(2.0,)))
    assert result.classes == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert [who.scores.shape for who in result.persons] == [(2, 5), (1, 5)]
    assert all(((who.scores > 0) & (who.scores < 1)).all() for who in result.persons)


def test_what_does_not_fit_together(video, tmp_path):
    with pytest.raises(ConfigError, match="is a model for classify and takes no boxes"):
        ActionPredictor(Predictor(zoo.create_model("mae_st_vit_tiny")))
    with pytest.raises(ConfigError, match="key frames 0 s apart"):
        predictor().predict(video, boxes_at(1.0), step=0)
    with pytest.raises(DataError, match=r"boxes.csv, row 0: the key frame at 7 s is outside of .*square.mp4, which lasts 6 s"):
        predictor().predict(video, boxes_at(1.0, 7.0))
    with pytest.raises(MediaError):
        predictor().predict(tmp_path / "none.mp4", boxes_at(1.0))
    made = predictor()
    made.opened.model.forward = lambda clips, boxes: torch.full((len(boxes), 2), float("nan"))
    with pytest.raises(WeightsError, match="not finite"):
        made.predict(video, boxes_at(1.0))
