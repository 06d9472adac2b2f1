"""EfficientX3D: X3D under other names, with a head that pools the whole map."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.x3d.parts import efficient_of, pyslowfast_of, stirred
from vidmodels import zoo
from vidmodels.core.errors import ConfigError, WeightsError
from vidmodels.systems.pytorchvideo.efficient_x3d import efficient_x3d
from vidmodels.systems.x3d.complexity import complexity

NAMES = ("efficient_x3d_xs", "efficient_x3d_s", "efficient_x3d_m", "efficient_x3d_l")


def model_of(seed: int = 0, **settings):
    torch.manual_seed(seed)
    return stirred(zoo.create_model("efficient_x3d_xs", num_classes=5, **settings), seed)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_the_card(name):
    row, sibling = zoo.entry(name), zoo.entry(name.removeprefix("efficient_"))
    with torch.device("meta"):
        model = efficient_x3d(**row.config)
    assert sum(p.numel() for p in model.parameters()) == row.params
    assert row.macs == sibling.macs == complexity(**sibling.config).macs
    assert (row.input.num_frames, row.input.frame_stride, row.input.size) == (
        sibling.input.num_frames,
        sibling.input.frame_stride,
        sibling.input.size,
    )


@torch.no_grad()
@pytest.mark.parametrize("written", [efficient_of, pyslowfast_of], ids=["EfficientX3D", "PySlowFast"])
def test_files_come_back_exactly(written, tmp_path):
    saved, other = model_of(seed=1), model_of(seed=2)
    torch.save(written(saved), tmp_path / "a.pth")
    report = zoo.load_weights(other, tmp_path / "a.pth")
    assert (report.new, report.dropped, report.resized) == ([], {}, {})
    clips = torch.randn(1, 3, 2, 64, 64)
    assert_close(other(clips), saved(clips), rtol=0, atol=0)


@torch.no_grad()
def test_weights_interchange_with_x3d(tmp_path):
    """On a crop as large as its window X3D pools the whole map too."""
    saved = model_of(seed=1)
    torch.save(efficient_of(saved), tmp_path / "a.pth")
    x3d = zoo.create_model("x3d_xs", num_classes=5, size=64).eval()
    zoo.load_weights(x3d, tmp_path / "a.pth")
    clips = torch.randn(1, 3, 2, 64, 64)
    assert_close(x3d(clips), saved(clips), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_any_crop_is_one_position():
    model = model_of()
    maps = model.backbone(torch.randn(1, 3, 2, 96, 128))
    assert model.head.positions(maps).shape[1] == 1


def test_other_classes_are_refused(tmp_path):
    torch.save(efficient_of(model_of()), tmp_path / "a.pth")
    other = zoo.create_model("efficient_x3d_xs", num_classes=7)
    with pytest.raises(WeightsError, match="names 5 classes, the model 7: create it with num_classes=5"):
        zoo.load_weights(other, tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"expansion": "XXL"}, r"^there is no expansion 'XXL' \(did you mean 'X?[SL]*'\?\): choose one of XS, S, M, L$"),
        ({"num_frames": 0}, "^num_frames 0 and size 160 must be 1 or more$"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        efficient_x3d(**settings)
