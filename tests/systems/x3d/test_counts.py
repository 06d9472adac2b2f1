"""Parameters and multiply-adds of all models, and of the path on which the family was found, against published figures."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from vidmodels import zoo
from vidmodels.core.errors import ConfigError
from vidmodels.systems.x3d.builders import x3d
from vidmodels.systems.x3d.complexity import Complexity, complexity

# (parameters, 10^9 multiply-adds on the training crop, the same on the crop of 30 views)
PUBLISHED = {
    "x3d_xs": (3_794_322, 0.605, 0.844),
    "x3d_s": (3_794_322, 1.963, 2.727),
    "x3d_m": (3_794_322, 4.732, 6.186),
    "x3d_l": (6_153_432, 18.368, 24.778),
    "x3d_xl": (11_095_904, 35.84, 48.4),
}
DETECTORS = ("x3d_m_ava", "x3d_l_ava", "x3d_tiny_detector")
# (frames, size, factors), (parameters, 10^9 multiply-adds): each step about doubles the last
PATH = [
    ((1, 112, {"bottleneck_factor": 1.0, "depth_factor": 1.0}), (1_633_560, 0.0207)),
    ((1, 112, {"depth_factor": 1.0}), (2_653_172, 0.0410)),
    ((2, 112, {"depth_factor": 1.0}), (2_653_172, 0.0802)),
    ((4, 112, {"depth_factor": 1.0}), (2_653_172, 0.1586)),
    ((4, 160, {"depth_factor": 1.0}), (2_653_172, 0.3050)),
    ((4, 160, {}), (3_794_322, 0.6053)),
    ((8, 160, {}), (3_794_322, 1.2087)),
    ((16, 160, {}), (3_794_322, 2.415)),
    ((16, 224, {}), (3_794_322, 4.732)),
    ((16, 224, {"depth_factor": 5.0}), (6_153_432, 9.163)),
    ((16, 312, {"depth_factor": 5.0}), (6_153_432, 18.368)),
]


def of_row(name: str, test_size: int | None = None) -> Complexity:
    return complexity(**zoo.entry(name).config, test_size=test_size)


@pytest.mark.parametrize("name", PUBLISHED)
def test_classifiers_have_the_published_counts(name):
    params, at_train, at_test = PUBLISHED[name]
    row = zoo.entry(name)
    found = of_row(name)
    assert found.params == params == row.params
    assert found.macs == row.macs == pytest.approx(at_train * 1e9, rel=5e-3)
    assert of_row(name, row.input.test_size).macs == pytest.approx(at_test * 1e9, rel=5e-3)


def test_the_path_of_expansion():
    costs = []
    for (frames, size, factors), (params, macs) in PATH:
        found = complexity(frames, size, **factors)
        assert found.params == params
        assert found.macs == pytest.approx(macs * 1e9, rel=5e-3)
        costs.append(found.macs)
    assert all(1.9 < new / old < 2.1 for old, new in itertools.pairwise(costs))


@pytest.mark.parametrize(("name", "published"), [("x3d_m", 3_762_858), ("x3d_l", 6_087_120)])
def test_the_paper_counts_no_batch_norms(name, published):
    with torch.device("meta"):
        model = x3d(**zoo.entry(name).config)
    norms = sum(p.numel() for part in model.modules() if isinstance(part, nn.BatchNorm3d) for p in part.parameters())
    assert sum(p.numel() for p in model.parameters()) - norms == published


def test_the_form_of_pytorchvideo_lacks_one_norm():
    assert complexity(4, 160, res2_shortcut_norm=False).params == 3_794_274
    assert complexity(16, 312, depth_factor=5.0, res2_shortcut_norm=False).params == 6_153_432 - 48


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors(name):
    row = zoo.entry(name)
    with torch.device("meta"):
        model = x3d(**row.config).eval()
        logits = model(torch.empty(1, 3, 16, 64, 96), torch.empty(3, 5))
    assert sum(p.numel() for p in model.parameters()) == row.params
    assert logits.shape == (3, row.config["num_classes"])
    assert model.head.stride == 16


def test_rows_of_the_card_are_right():
    rows = [row for row in zoo.entries().values() if row.system == "x3d"]
    assert {row.name for row in rows} == {*PUBLISHED, *DETECTORS, "x2d", "x2d_tiny", "x3d_tiny"}
    for row in rows:
        if row.task == "classify":
            assert of_row(row.name) == Complexity(row.params or 0, row.macs or 0)


def test_impossible_factors_are_refused():
    with pytest.raises(ConfigError, match=r"^depth_factor -1 must be greater than 0$"):
        complexity(4, 160, depth_factor=-1)


@pytest.mark.parametrize("name", ["c2d_tiny", "i3d_tiny"])
def test_networks_to_compare_with_cost_as_much_or_a_little_more(name):
    """The comparison of the paper is one of equal cost, or it says nothing."""
    ours, theirs = zoo.entry("x3d_tiny").macs, zoo.entry(name).macs
    assert ours <= theirs <= 1.06 * ours
