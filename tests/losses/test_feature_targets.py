"""Targets of masked feature prediction: what they are, how far an answer is from them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from vidmodels.core.errors import ConfigError
from vidmodels.losses.feature_targets import first_frames, make_target, target_width

GRID = (4, 2, 3)
CLIPS = torch.randn(2, 3, 8, 32, 48, generator=torch.Generator().manual_seed(0))
TOKENS = math.prod(GRID)


def scores(width: int):
    """A teacher whose scores do not depend on the clips."""
    table = torch.randn(2, TOKENS, width, generator=torch.Generator().manual_seed(1))
    return lambda clips, grid: table


KINDS = {
    "hog": {}, "pixel": {}, "code": {"teacher": scores(7), "outputs": 7}, "feature": {"teacher": scores(5), "outputs": 5},
    "label": {"teacher": scores(6), "outputs": 6},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_widths(kind):
    target = make_target(kind, 16, **KINDS[kind])
    of = target.of(CLIPS, GRID)
    assert of.shape[:2] == (2, TOKENS)
    assert target.width == target_width(kind, 16, KINDS[kind].get("outputs"))
    assert of.shape[2:] == (() if kind == "code" else (target.width,))
    prediction = torch.randn(9, target.width, requires_grad=True)
    loss = target.loss(prediction, of.flatten(0, 1)[:9])
    assert loss.shape == (9,)
    loss.sum().backward()
    assert prediction.grad.abs().sum() > 0


def perfect(kind: str, of: Tensor, width: int) -> Tensor:
    if kind == "code":
        return torch.nn.functional.one_hot(of, width).float() * 100
    return of.log() if kind == "label" else of


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_answer_has_the_smallest_loss_and_the_constant_one_a_larger(kind):
    target = make_target(kind, 16, **KINDS[kind])
    of = target.of(CLIPS, GRID).flatten(0, 1)
    loss = target.loss(perfect(kind, of, target.width), of)
    smallest = -(of * of.log()).sum(-1) if kind == "label" else torch.zeros(len(of))  # the entropy of shares
    assert_close(loss, smallest, atol=1e-5, rtol=1e-5)
    assert target.baseline(of).mean() > loss.mean()


def test_hog_tokens_see_the_first_frame_of_their_step():
    target = make_target("hog", 16)
    later = CLIPS.clone()
    later[:, :, 1::2] = 0
    assert torch.equal(target.of(CLIPS, GRID), target.of(later, GRID))
    assert torch.equal(first_frames(CLIPS, GRID), CLIPS[:, :, ::2])


def test_the_order_of_pixels_in_videos_and_images():
    video = make_target("pixel", 16, normalise=False).of(CLIPS, GRID)
    corner = CLIPS[1, :, 2, 16:32, 32:48]  # step 1, row 1, column 2
    assert_close(video[1, 6 + 5], corner.permute(1, 2, 0).flatten())
    image = make_target("pixel", 16, image=True, normalise=False).of(CLIPS[:, :, :1], (1, 2, 3))
    assert_close(image[1, 5], CLIPS[1, :, 0, 16:32, 32:48].flatten())


def test_normalised_pixels_have_unit_variance():
    of = make_target("pixel", 16).of(CLIPS, GRID)
    assert_close(of.mean(-1), torch.zeros(2, TOKENS), atol=1e-5, rtol=0)
    assert_close(of.var(-1), torch.ones(2, TOKENS), atol=1e-4, rtol=0)


def test_features_are_compared_by_direction_alone():
    target = make_target("feature", 16, **KINDS["feature"])
    of = target.of(CLIPS, GRID).flatten(0, 1)
    assert_close(target.loss(of * 7, of), torch.zeros(len(of)), atol=1e-6, rtol=0)
    assert_close(target.loss(-of, of), torch.full((len(of),), 2.0))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "code"}, "target 'code' needs a teacher"),
        ({"kind": "hog", "teacher": scores(3)}, "computed from the pixels: leave out the teacher"),
        ({"kind": "hog", "stride": 12}, "tokens of 12 pixels are not whole cells of 8"),
        ({"kind": "sift"}, "unknown target 'sift': choose one of pixel, hog, code, feature, label"),
    ],
)
def test_impossible_targets(wrong, words):
    with pytest.raises(ConfigError, match=words):
        make_target(**{"stride": 16, **wrong})
