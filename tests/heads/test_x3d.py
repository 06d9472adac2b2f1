"""The heads of X3D against their layers written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from tests.systems.x3d.parts import stirred
from vidmodels.heads.x3d import X3DActionHead, X3DHead


def wide(head, maps):
    """conv_5, norm, ReLU, as a product with each place."""
    y = torch.einsum("dc,ncthw->ndthw", head.conv_5.weight[:, :, 0, 0, 0], maps)
    norm = head.norm_5
    return functional.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()


@torch.no_grad()
@pytest.mark.parametrize("lin_norm", [False, True])
def test_layers_of_the_classifier(lin_norm):
    torch.manual_seed(0)
    head = stirred(X3DHead(6, 10, 4, width=12, lin_norm=lin_norm))
    maps = torch.randn(2, 6, 3, 2, 2)
    features = wide(head, maps).mean((2, 3, 4)) @ head.lin_5.weight.T
    if lin_norm:
        norm = head.lin_norm
        features = functional.batch_norm(features, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    assert_close(head.pool([maps]), features.relu(), rtol=1e-4, atol=1e-5)
    logits = features.relu() @ head.projection.weight.T + head.projection.bias
    assert_close(head([maps]), logits, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("average", "activation"), [("scores", "softmax"), ("scores", "sigmoid"), ("logits", "softmax")])
def test_positions_of_a_larger_map(average, activation):
    torch.manual_seed(0)
    head = stirred(X3DHead(6, 10, 4, width=12, window=2, average=average, activation=activation))
    maps = [torch.randn(2, 6, 3, 3, 4)]
    each = head.projection(head.positions(maps))
    assert each.shape == (2, 2 * 3, 4)
    act = {"softmax": lambda x: x.softmax(-1), "sigmoid": torch.sigmoid}[activation]
    expected = act(each.mean(1)) if average == "logits" else act(each).mean(1)
    assert_close(act(head(maps)), expected)
    assert_close(head.pool(maps), head.positions(maps).mean(1), rtol=0, atol=0)


@torch.no_grad()
def test_a_box_over_the_whole_map_takes_its_maximum_after_time():
    torch.manual_seed(0)
    head = stirred(X3DActionHead(6, 10, 4, width=12, stride=16))
    flat = torch.randn(1, 6, 3, 1, 1).expand(-1, -1, -1, 8, 8)  # equal everywhere, so that sampling changes nothing
    boxes = torch.tensor([[0, 0.0, 0.0, 128.0, 128.0], [0, 20.0, 30.0, 60.0, 90.0]])
    expected = (wide(head, flat).mean(2)[0, :, 0, 0] @ head.lin_5.weight.T).relu()
    assert_close(head.pool([flat], boxes), expected.expand(2, -1), rtol=1e-4, atol=1e-5)
    assert head([flat], boxes).shape == (2, 4)


def test_dropout_acts_in_training_only():
    head = X3DHead(6, 10, 4, width=64, dropout=0.5)
    maps = [torch.randn(2, 6, 3, 2, 2)]
    assert not torch.equal(head(maps), head(maps))
    assert torch.equal(head.eval()(maps), head(maps))
