"""Steps of contrastive learning: what gets a gradient, in one piece or clip by clip, and what must not matter."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from tests.systems.rho_contrastive.parts import FRAMEWORKS, clips, context, losses, small, task_of
from vidmodels.losses.contrastive import byol_loss, info_nce_logits, info_nce_loss


def parts_of(rho: int = 3, videos: int = 4):
    return [clips(videos, seed=i) for i in range(rho)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_order_of_the_videos_does_not_matter(framework):
    order = torch.tensor([2, 0, 3, 1])
    found = losses(small(framework), parts_of())
    assert len(found) == (3 if framework in ("moco", "byol") else 1)
    assert_close(losses(small(framework), [part[order] for part in parts_of()]), found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_video_that_cannot_be_decoded_changes_no_loss_of_the_others(framework):
    valid = torch.tensor([True, True, False, True])
    found = losses(small(framework), parts_of(), valid)
    assert_close(losses(small(framework), [part[valid] for part in parts_of()]), found, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("framework", ["moco", "byol"])
def test_clip_by_clip_gives_the_gradient_of_the_sum(framework):
    one, joint, parts = small(framework), small(framework), parts_of()
    losses(one, parts, backward=True)
    joint.follow(task_of(joint).momentum(99 / 200))
    keys = [joint.keys(part) for part in parts]
    total = torch.zeros(())
    for i, found in enumerate([joint(part) for part in parts]):
        others = [key for j, key in enumerate(keys) if j != i]
        if framework == "moco":
            total = total + info_nce_loss(info_nce_logits(found.projection, others, small("moco").queue, 0.1))
        else:
            total = total + byol_loss(found.prediction, others, 0.5)
    total.backward()
    for (name, a), b in zip(one.online.named_parameters(), joint.online.parameters()):
        assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_gradient_reaches_what_does_not_learn(framework):
    model = small(framework, memory=4)
    losses(model, parts_of(2), backward=True)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.online.backbone.parameters())
    if model.momentum is not None:
        assert all(p.grad is None for p in model.momentum.parameters())
    assert not any(buffer.requires_grad for buffer in model.buffers())


def test_byol_lies_between_minus_two_and_two():
    assert all(-2 <= value <= 2 for value in losses(small("byol"), parts_of(4)))


def test_momentum_rises_along_a_half_cosine():
    task = task_of(small("moco"), momentum=0.99)
    assert task.momentum(0) == pytest.approx(0.99)
    assert task.momentum(0.5) == pytest.approx(0.995)
    assert task.momentum(1) == 1
    assert task.momentum(0.25) == pytest.approx(1 - 0.01 * (math.cos(math.pi / 4) + 1) / 2)


@pytest.mark.parametrize(("multi_view", "written"), [(True, 12), (False, 4)])
def test_the_queue_takes_the_keys_of_all_clips_or_of_the_first(multi_view, written):
    model = small("moco")
    before, parts = model.queue.clone(), parts_of()
    losses(model, parts, multi_view_queue=multi_view)
    assert model.pointer.item() == written
    assert_close(model.queue[:4], model.keys(parts[0]))
    assert_close(model.queue[written:], before[written:])


def test_moco_learns_nothing_until_its_queue_is_full():
    model = small("moco")
    for step, learns in ((0, False), (5, False), (6, True)):
        model.zero_grad(set_to_none=True)
        for values in task_of(model).losses(model, parts_of(2), torch.ones(4, dtype=torch.bool), context(step)):
            values["loss"].backward()
        assert (model.online.backbone.stem.conv.weight.grad is not None) == learns


def test_prototypes_rest_for_an_epoch():
    model = small("swav")
    for step, learns in ((20, False), (21, True)):  # ten epochs of 20 steps
        model.zero_grad(set_to_none=True)
        for values in task_of(model).losses(model, parts_of(2), torch.ones(4, dtype=torch.bool), context(step)):
            values["loss"].backward()
        assert (model.prototypes.weight.grad is not None) == learns


def test_simclr_compares_neighbours_in_time():
    model, parts = small("simclr"), parts_of(3)
    (whole,) = losses(model, parts)
    pairs = [losses(model, [parts[i], parts[i + 1]])[0] for i in range(2)]
    assert whole == pytest.approx(sum(pairs), rel=1e-5)
