"""Explanations point at the evidence: on networks whose evidence can be read off, and on trained ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.inference import squares
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError
from vidmodels.data.geometry import Crop
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.clip import ClipHead
from vidmodels.inference.explain import ExplainedWindow, explain, explain_video, explanation, method_for
from vidmodels.inference.predictor import Predictor
from vidmodels.systems.slowfast.builders import single_pathway, slowfast

TINY = {"num_classes": 2, "size": None, "width": 8, "depth": (1, 1, 1, 1), "strides": (1, 2, 1, 1), "dropout": 0.0}
SPEC = InputSpec(num_frames=4, frame_stride=2, size=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


class Colours(nn.Module):
    """A backbone whose map is the mean of each colour around every eighth pixel."""

    no_decay: frozenset[str] = frozenset()
    num_layers = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, 3, (1, 9, 9), (1, 8, 8), (0, 4, 4), groups=3, bias=False)
        nn.init.constant_(self.conv.weight, 1 / 81)

    def forward(self, clips):
        return [self.conv(clips)]

    def maps(self, clips):
        return self(clips)


def red_or_green() -> ClipClassifier:
    """Logits: 2 x red + 1, and 3 x green - 1 x red."""
    head = ClipHead((3,), 2)
    head.projection.weight.data = torch.tensor([[2.0, 0.0, 0.0], [-1.0, 3.0, 0.0]])
    head.projection.bias.data = torch.tensor([1.0, 0.0])
    return ClipClassifier(Colours(), head).eval()


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(0)
    model = slowfast(alpha=4, beta_inv=4, **TINY).to(memory_format=torch.channels_last_3d)
    return squares.teach(model, 30, frames=8)


def test_evidence_is_what_the_place_adds_to_the_logit():
    clips = torch.zeros(2, 3, 4, 32, 32)
    clips[0, 0, 1, 16, 24] = 81.0  # red, under the middle of one cell, in one frame
    clips[1, 1, :, 8, 8] = 81.0
    found = explanation(red_or_green(), clips, target=0)
    assert found.logits[:, 0].tolist() == pytest.approx([2 * 1 / 64 + 1, 1.0])
    assert found.maps[0].argmax() == 1 * 32 * 32 + 16 * 32 + 24
    assert found.maps[0, 1, 16, 24] == pytest.approx(2.0)
    assert found.maps[0, 2:].sum() == 0
    assert found.maps[1].sum() == 0  # green says nothing for class 0
    assert explain(red_or_green(), clips, 1)[1, :, 8, 8].tolist() == pytest.approx([3.0] * 4)
    assert explain(red_or_green(), clips, 1)[0].sum() == 0  # red speaks against class 1
    assert found.parts == {}


def test_each_clip_has_its_class():
    clips = torch.rand(3, 3, 4, 32, 32)
    clips[0, 0] += 2
    clips[1:, 1] += 2
    model = red_or_green()
    found = explanation(model, clips)
    assert found.target.tolist() == [0, 1, 1]
    chosen = explanation(model, clips, torch.tensor([1, 1, 0]))
    torch.testing.assert_close(chosen.maps[1], found.maps[1])
    torch.testing.assert_close(chosen.maps[2], explain(model, clips, 0)[2])


def test_pathways_add_up_to_the_logit(trained):
    batch = squares.draw(4, 3, frames=8)
    found = explanation(trained, batch.clips)
    assert list(found.parts) == ["slow", "fast"]
    bias = trained.head.projection.bias[found.target]
    total = found.shares["slow"] + found.shares["fast"] + bias
    torch.testing.assert_close(total, found.logits.amax(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.maps, (found.parts["slow"] + found.parts["fast"]).clamp(min=0))
    torch.testing.assert_close(trained(batch.clips), found.logits)


def test_slow_evidence_lies_at_the_frames_that_slow_sees():
    # 8 frames, alpha 2: Slow sees 0, 2, 4 and 7. Only its third frame is red
    model = slowfast(alpha=2, beta_inv=4, **TINY).eval()
    clips = torch.zeros(1, 3, 8, 32, 32)
    head = model.head

    def slow_only(maps):
        values = torch.zeros_like(maps[0])
        values[:, 0, 2] = 1.0
        return [values, torch.zeros_like(maps[1])]

    model.backbone.register_forward_hook(lambda module, arguments, maps: slow_only(maps))
    head.projection.weight.data.zero_()
    head.projection.weight.data[0, 0] = 1.0
    over_time = explain(model, clips, 0)[0].mean((1, 2))
    assert over_time.tolist() == pytest.approx([0, 0, 0, 0.5, 1, 2 / 3, 1 / 3, 0], abs=1e-6)


def test_grad_cam_is_faithful_on_a_trained_network(trained):
    batch = squares.draw(48, 7, frames=8)
    assert (trained(batch.clips).argmax(1) == batch.labels).float().mean() > 0.95
    batch = squares.decided(trained, batch)
    assert len(batch.clips) > 15
    found = explanation(trained, batch.clips)
    assert found.method == "grad-cam"
    assert squares.hits(found.maps, batch.evidence) > 0.9  # chance is 0.06
    assert squares.share_in(found.maps, batch.evidence) > 4 * squares.share_in(found.maps, batch.distraction)
    best = squares.drops_without(trained, batch, squares.best_cells(found.maps)).mean()
    assert best > 0.5
    assert squares.drops_without(trained, batch, squares.any_cells(batch)).mean() < 0.2


def test_nothing_of_the_network_changes(trained):
    batch = squares.draw(2, 3, frames=8)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.zero_grad()
    with torch.inference_mode():
        explain(trained, batch.clips)
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in trained.parameters())
    assert not trained.head._forward_pre_hooks
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_the_graph_begins_at_the_maps(trained):
    # a graph below the maps would cost the memory of a training step
    seen = []
    hook = trained.backbone.slow.res5.register_forward_hook(lambda module, arguments, map: seen.append(map.requires_grad))
    explain(trained, squares.draw(1, 3, frames=8).clips)
    hook.remove()
    assert seen == [False]


@pytest.fixture
def video(tmp_path):
    """3 s at 8 frames per second: a red square in the upper left of the middle crop, then one in the lower right."""
    frames = np.full((24, 64, 128, 3), 20, np.uint8)
    frames[:12, 4:28, 36:60, 0] = 250
    frames[12:, 36:60, 68:92, 0] = 250
    path = tmp_path / "red.mp4"
    path.write_bytes(encode_mp4(frames, 8))
    return path


def test_windows_of_a_video(video):
    predictor = Predictor(red_or_green(), SPEC, ["red", "green"])
    windows = list(explain_video(predictor, video, "red"))
    assert [(w.start, w.end) for w in windows] == [(0, 1), (1, 2), (2, 3)]
    assert windows[0].frames.shape == (4, 32, 32, 3)
    assert windows[0].heat().max() == 1
    first, last = windows[0].to_dict(), windows[2].to_dict()
    # in pixels of the video: the crop of 64 x 64 begins at column 32
    for frame in first["frames"]:
        assert 36 <= frame["peak"][0] < 60
        assert 4 <= frame["peak"][1] < 28
    for frame in last["frames"]:
        assert 68 <= frame["peak"][0] < 92
        assert 36 <= frame["peak"][1] < 60
    assert sum(frame["share"] for frame in first["frames"]) == pytest.approx(1, abs=1e-4)
    assert first["class"] == "red"
    assert first["score"] == pytest.approx(predictor.scores(windows[0].frames[None])[0, 0], abs=1e-5)
    assert len(list(explain_video(predictor, video, stride=0.5))) == 5


def test_a_window_without_evidence():
    empty = np.zeros((2, 8, 8), np.float32)
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    window = ExplainedWindow(0.0, 1.0, (0.0, 0.5), frames, Crop(0, 0, 8, 8), "red", 0.1, empty, "grad-cam")
    assert window.heat().max() == 0
    assert window.to_dict()["frames"] == [{"time": time, "share": 0.0, "peak": None} for time in (0.0, 0.5)]


def test_what_cannot_be_explained(video):
    model = red_or_green()
    clips = torch.zeros(1, 3, 4, 32, 32)
    with pytest.raises(ConfigError, match="there is no class 7: ClipClassifier has the classes 0 to 1"):
        explain(model, clips, 7)
    with pytest.raises(ConfigError, match=r"no method 'gradcam' \(did you mean 'grad-cam'\?\)"):
        explain(model, clips, 0, "gradcam")
    with pytest.raises(ConfigError, match="has no transformer whose attention is known: choose method 'grad-cam'"):
        explain(model, clips, 0, "relevance")
    with pytest.raises(ConfigError, match="Linear names no class of a clip"):
        method_for(nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="ActionDetector names no class of a clip"):
        method_for(single_pathway("slow", detection=True, **TINY))
    with pytest.raises(ConfigError, match=r"has no class 'rad' \(did you mean 'red'\?\)"):
        next(explain_video(Predictor(model, SPEC, ["red", "green"]), video, "rad"))
