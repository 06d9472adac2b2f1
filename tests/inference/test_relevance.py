"""Relevance of tokens: identities of its parts, and whether it points at the evidence, in plain and in pooled attention."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.inference import squares
from vidmodels.backbones.mvit import MViT, MViTConfig
from vidmodels.backbones.mvit_attention import Pooling
from vidmodels.heads.classifier import ClipClassifier
from vidmodels.heads.tokens import TokenHead
from vidmodels.inference import relevance
from vidmodels.inference.explain import explanation
from vidmodels.systems.mae_st.builders import video_classifier

V1 = {"class_token": True}
V2 = {
    "relative_space": True, "relative_time": True, "positions": "none", "residual": "grid", "growth": "attention",
    "pool_every_query": True,
}  # fmt: skip


def vit(dim: int = 32) -> nn.Module:
    return video_classifier(num_classes=2, head_std=0.02, dim=dim, depth=2, num_heads=2, num_frames=4, size=32, patch=(2, 4, 4))


def mvit(**settings) -> nn.Module:
    config = MViTConfig(
        dim=16, depth=3, num_heads=1, num_frames=4, size=32, patch=(3, 7, 7), patch_stride=(2, 4, 4), patch_padding=(1, 3, 3),
        stage_starts=(1,), kv_stride=(1, 2, 2), **settings,
    )  # fmt: skip
    backbone = MViT(config)
    return ClipClassifier(backbone, TokenHead(backbone.dim, 2, "class", config.class_token))


MODELS = {"vit": vit, "mvit": lambda: mvit(**V1), "mvitv2": lambda: mvit(**V2)}


@pytest.fixture(scope="module", params=MODELS)
def trained(request) -> nn.Module:
    torch.manual_seed(0)
    return squares.teach(MODELS[request.param](), 60)


@pytest.fixture(scope="module")
def batch(trained) -> squares.Squares:
    drawn = squares.draw(64, 7)
    assert (trained(drawn.clips).argmax(1) == drawn.labels).float().mean() > 0.95
    drawn = squares.decided(trained, drawn)
    assert len(drawn.clips) > 15
    return drawn


def test_relevance_points_at_the_evidence(trained, batch):
    found = explanation(trained, batch.clips)
    assert found.method == "relevance"
    assert squares.hits(found.maps, batch.evidence) > 0.95  # chance is 0.06
    assert squares.share_in(found.maps, batch.evidence) > 3 * squares.share_in(found.maps, batch.distraction)


@pytest.mark.parametrize(("method", "least"), [("relevance", 0.8), ("attention", 0.4)])
def test_without_the_most_relevant_region_the_score_falls_most(trained, batch, method, least):
    found = explanation(trained, batch.clips, method=method)
    best = squares.drops_without(trained, batch, squares.best_cells(found.maps)).mean()
    assert best > least
    assert best > 4 * squares.drops_without(trained, batch, squares.any_cells(batch)).mean()


def test_outputs_are_those_of_the_network(trained, batch):
    with torch.no_grad():
        expected = trained(batch.clips[:4])
    for method in ("relevance", "attention"):
        torch.testing.assert_close(explanation(trained, batch.clips[:4], method=method).logits, expected, atol=1e-4, rtol=1e-4)


def test_the_other_class_has_its_own_evidence(trained, batch):
    likely = explanation(trained, batch.clips)
    other = explanation(trained, batch.clips, 1 - likely.target)
    assert squares.share_in(other.maps, batch.evidence) < 0.5 * squares.share_in(likely.maps, batch.evidence)


def test_relevance_is_conserved_without_biases():
    # no biases, no positions, no class token: all of the logit is in the tokens
    torch.manual_seed(0)
    config = MViTConfig(
        dim=16, depth=3, num_heads=1, num_frames=4, size=32, patch_stride=(2, 4, 4), stage_starts=(1,), kv_stride=(1, 2, 2),
        class_token=False, positions="none", qkv_bias=False, residual="all", pool_every_query=True,
    )  # fmt: skip
    backbone = MViT(config)
    model = ClipClassifier(backbone, TokenHead(backbone.dim, 2, "mean", class_token=False)).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.normal_(std=0.3) if value.ndim > 1 else value.fill_(0.0 if name.endswith("bias") else 1.0)
    clips = torch.randn(2, 3, 4, 32, 32)
    logits, cells = relevance.conserved_relevance(model, clips, torch.tensor([0, 1]))
    expected = logits[[0, 1], [0, 1]]
    assert expected.abs().min() > 0.01
    torch.testing.assert_close(cells.evidence.sum((1, 2, 3)), expected, atol=1e-4, rtol=1e-3)


def test_linear_layers_keep_their_outputs_under_the_gamma_rule():
    torch.manual_seed(0)
    layer, x = nn.Linear(8, 5, bias=False), torch.randn(3, 8, requires_grad=True)
    with relevance.Linearised():
        y = layer(x)
    torch.testing.assert_close(y, layer(x))
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close((gradient * x).sum(), y.sum())
    assert (gradient - layer.weight.sum(0)).abs().max() > 1e-3  # it is no mere gradient


def test_norms_and_activations_are_linear_in_their_input():
    x = torch.randn(4, 6, requires_grad=True)
    weight, bias = torch.rand(6), torch.rand(6)
    with relevance.Linearised():
        normed, active = functional.layer_norm(x, (6,), weight, bias, 1e-6), functional.gelu(x)
    torch.testing.assert_close(normed, functional.layer_norm(x, (6,), weight, bias, 1e-6))
    torch.testing.assert_close(active, functional.gelu(x))
    for y, constant in ((normed, bias.sum() * 4), (active, torch.tensor(0.0))):
        (gradient,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
        torch.testing.assert_close((gradient * x).sum() + constant, y.sum(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3, 3), (1, 2, 2)), ((1, 3, 3), (1, 4, 4)), ((3, 3, 3), (1, 1, 1))])
def test_pooled_relevance_is_shared_among_its_window(kernel, stride):
    pooling, grid = Pooling(kernel, stride), (2, 8, 8)
    t, h, w = pooling.grid(grid)
    pooled = torch.zeros(2, 1 + t * h * w)
    pooled[0, 0], pooled[0, 1], pooled[1, -1] = 5.0, 1.0, 3.0
    spread = relevance._unpool(pooled, pooling, grid, 1)
    assert spread.shape == (2, 1 + 128)
    torch.testing.assert_close(spread.sum(1), pooled.sum(1))
    assert spread[0, 0] == 5.0
    corner = spread[0, 1:].view(grid)
    inside = (kernel[0] // 2 + 1, kernel[1] // 2 + 1, kernel[2] // 2 + 1)  # the rest of the window is padding
    assert corner[: inside[0], : inside[1], : inside[2]].min() > 0
    assert (corner > 0).sum() == inside[0] * inside[1] * inside[2]
    assert relevance._unpool(pooled, None, None, 1) is pooled


def test_weights_that_learn_nothing_can_be_explained():
    model = vit().eval().requires_grad_(False)
    for method in ("relevance", "attention"):
        assert explanation(model, torch.randn(1, 3, 4, 32, 32), 1, method).maps.shape == (1, 4, 32, 32)


def test_other_sizes_and_images():
    assert explanation(mvit(**V2).eval(), torch.randn(1, 3, 6, 48, 32)).maps.shape == (1, 6, 48, 32)
    image = MViTConfig(
        dim=16, depth=2, num_frames=1, size=32, patch=(1, 7, 7), patch_stride=(1, 4, 4), patch_padding=(0, 3, 3),
        stage_starts=(1,), kv_stride=(1, 2, 2), pool_kernel=(1, 3, 3),
    )  # fmt: skip
    backbone = MViT(image)
    model = ClipClassifier(backbone, TokenHead(backbone.dim, 3, "class")).eval()
    assert explanation(model, torch.randn(2, 3, 1, 32, 32)).maps.shape == (2, 1, 32, 32)
