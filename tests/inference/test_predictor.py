"""The predictor on a model whose answers can be worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from vidmodels import zoo
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, DataError, MediaError, WeightsError
from vidmodels.data.probe import VideoInfo
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.inference.predictor import Predictor
from vidmodels.inference.windows import view_spans
from vidmodels.predictors import make_predictor
from vidmodels.tasks.results import ClassifyResult, Window

SPEC = InputSpec(num_frames=4, frame_stride=2, size=16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Brightness(nn.Module):
    """Logits (0, 8 x mean - 4): class 1 where a clip is light."""

    num_classes = 2

    def forward(self, clips):
        assert clips.shape[1:] == (3, 4, 16, 16)
        light = self.features(clips)[:, :1]
        return torch.cat([torch.zeros_like(light), 8 * light - 4], 1)

    def features(self, clips):
        return torch.stack([clips.mean((1, 2, 3, 4)), clips[..., :8].mean((1, 2, 3, 4))], 1)


@pytest.fixture
def video(tmp_path):
    """2 s dark, then 2 s light, at 8 frames per second; the right third is light throughout."""
    frames = np.full((32, 32, 96, 3), 20, np.uint8)
    frames[16:] = 230
    frames[:, :, 64:] = 230
    path = tmp_path / "halves.mp4"
    path.write_bytes(encode_mp4(frames, 8))
    return path


def test_stream_follows_the_video(video):
    results = list(Predictor(Brightness(), SPEC, ["dark", "light"]).stream(video))
    assert [(r.windows[0].start, r.windows[0].end) for r in results] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [r.top(1)[0].name for r in results] == ["dark", "dark", "light", "light"]
    expected = 1 / (1 + np.exp(-(8 * 20 / 255 - 4)))
    assert results[0].scores[1] == pytest.approx(expected, abs=0.01)
    assert len(list(Predictor(Brightness(), SPEC).stream(video, stride=0.5))) == 7


def test_groups_do_not_change_answers(video):
    one = [r.scores for r in Predictor(Brightness(), SPEC, batch_size=1).stream(video, stride=0.25)]
    many = [r.scores for r in Predictor(Brightness(), SPEC, batch_size=8).stream(video, stride=0.25)]
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_predict_means_over_clips_and_crops(video):
    predictor = Predictor(Brightness(), SPEC, ["dark", "light"])
    whole = predictor.predict(video, num_clips=4)
    assert whole.scores == pytest.approx(np.mean([w.scores for w in whole.windows], 0))
    assert whole.scores.sum() == pytest.approx(1)
    # of three crops along the width, the last is light in the dark half too
    dark, light = (window.scores[1] for window in predictor.predict(video, 2).windows)
    crops = predictor.predict(video, 2, 3).windows[0]
    assert crops.scores[1] == pytest.approx((2 * dark + light) / 3, abs=0.01)


def test_features_have_times(video):
    found = Predictor(Brightness(), SPEC).features(video)
    assert [(e.start, e.end) for e in found] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [e.vector[0] for e in found] == pytest.approx([20 / 255] * 2 + [230 / 255] * 2, abs=0.02)
    assert len(Predictor(Brightness(), SPEC).features(video, num_clips=3)) == 3


def test_a_video_shorter_than_a_clip_repeats_its_last_frame(tmp_path):
    path = tmp_path / "short.mp4"
    path.write_bytes(encode_mp4(np.full((3, 32, 32, 3), 200, np.uint8), 8))
    result = Predictor(Brightness(), SPEC).predict(path, num_clips=2)
    assert len(result.windows) == 2
    assert result.windows[0].end == pytest.approx(3 / 8)
    assert len(list(Predictor(Brightness(), SPEC).stream(path))) == 1


def test_what_does_not_fit_together(video, tmp_path):
    with pytest.raises(ConfigError, match="3 class names were given for the 2 classes"):
        Predictor(Brightness(), SPEC, ["a", "b", "c"])
    with pytest.raises(ConfigError, match="the input of Brightness is not known"):
        Predictor(Brightness())
    with pytest.raises(ConfigError, match="precision 'half'"):
        Predictor(Brightness(), SPEC, precision="half")
    with pytest.raises(ConfigError, match="2 crops"):
        Predictor(Brightness(), SPEC).predict(video, num_crops=2)
    with pytest.raises(MediaError):
        Predictor(Brightness(), SPEC).predict(tmp_path / "none.mp4")
    with pytest.raises(ConfigError, match="names no classes"):
        make_predictor("mae_st_vit_tiny_pretrain").predict(video)


def test_answers_that_are_not_finite_are_refused(video):
    model = Brightness()
    model.features = lambda clips: torch.full((len(clips), 2), float("nan"))
    with pytest.raises(WeightsError, match="not finite"):
        Predictor(model, SPEC).predict(video)


def test_predictor_by_name(video, tmp_path):
    model = zoo.create_model("mae_st_vit_tiny", num_classes=2).eval()
    path = zoo.save_weights(model, tmp_path / "w.safetensors", {"classes": ["a", "b"]})
    direct = Predictor(model).predict(video)
    loaded = make_predictor("mae_st_vit_tiny", weights=path).predict(video)
    np.testing.assert_array_equal(direct.scores, loaded.scores)
    assert loaded.classes == ("a", "b")
    assert (loaded.model, loaded.weights) == ("mae_st_vit_tiny", str(path))
    half = make_predictor(str(path), precision="bf16").predict(video)
    assert half.precision == "bf16"
    np.testing.assert_allclose(half.scores, direct.scores, atol=0.02)
    with pytest.raises(ConfigError, match="did you mean 'mae_st_vit_tiny'"):
        make_predictor("mae_st_vit_tin")
    with pytest.raises(WeightsError, match="no weights file"):
        make_predictor("mae_st_vit_tiny", weights=tmp_path / "none.pth")


def result() -> ClassifyResult:
    windows = (Window(0, 1, np.array([0.9, 0.1], np.float32)), Window(1, 2, np.array([0.2, 0.8], np.float32)))
    return ClassifyResult("v.mp4", ("off", "on"), np.array([0.55, 0.45], np.float32), windows, "m")


def test_result_as_json(tmp_path):
    saved = json.loads(result().save(tmp_path / "r.json").read_text())
    assert saved == result().to_dict()
    assert saved["windows"][1]["top"][0] == {"name": "on", "score": 0.8}
    assert saved["scores"] == [0.55, 0.45]


def test_result_as_pictures():
    frames = np.full((4, 40, 160, 3), 90, np.uint8)
    drawn = result().draw(frames, times=[0.1, 0.9, 1.1, 1.9])
    assert drawn.shape[0] == 4
    assert drawn.shape[2] == 320
    assert (drawn[:, :80] == 90).all()  # the picture itself stays free
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[1] != drawn[2]).any()
    # the bar of `off`, the class in the first row, is as long as its probability
    bar = (drawn[:, 80 + 10 + 15 + 2] == (124, 178, 255)).all(-1).sum(-1)
    assert bar.tolist() == pytest.approx([270, 270, 60, 60], abs=1)
    with pytest.raises(DataError, match="one time for each frame"):
        result().draw(frames, times=[0.0])


def test_the_clips_of_the_training_are_those_of_predictions(tmp_path):
    """A run may have taken another rate, and frames from all over the video, than the card says; its file says so."""
    clip = {"num_frames": 16, "frame_stride": 3, "fps": 12.5, "size": 32, "sampling": "segment"}
    model = zoo.create_model("mae_st_vit_tiny", num_classes=3)
    path = zoo.save_weights(model, tmp_path / "run.safetensors", {"classes": ["a", "b", "c"], "clip": clip})
    spec = make_predictor(str(path)).spec
    assert (spec.frame_stride, spec.fps, spec.sampling) == (3, 12.5, "segment")
    assert (zoo.entry("mae_st_vit_tiny").input.frame_stride, spec.size) == (1, 32)
    info = VideoInfo(32.0, 10.0, 32, 32, 320, "h264", "mp4", "yuv420p")
    (span,) = view_spans(info, spec, 1)
    assert span.times == pytest.approx([2 * n + 1 for n in range(16)], abs=0.1), "the middle of each of 16 parts"


def test_a_detector_of_actions_is_sent_to_where_boxes_are_taken():
    with pytest.raises(ConfigError, match=r"slowfast_tiny_detector is a model for detect_actions.*vidmodels detect-actions"):
        make_predictor("slowfast_tiny_detector").predict("clip.mp4")
