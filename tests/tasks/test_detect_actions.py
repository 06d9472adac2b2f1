"""The task of action detection: what counts, how boxes flip along, and that it learns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vidmodels import zoo
from vidmodels.core.batch import Batch
from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.recipe import AugmentSection
from vidmodels.data.collate import to_batch
from vidmodels.metrics.detection import ActionMeter
from vidmodels.systems.slowfast.builders import single_pathway
from vidmodels.tasks.base import StepContext
from vidmodels.tasks.detect_actions import DetectActions, flip

SPEC = InputSpec(4, 1, 32, mean=(0.0,) * 3, std=(1.0,) * 3)
PLAIN = AugmentSection(flip=0.0)


class Fixed(nn.Module):
    """Says the same for every box."""

    activation = "sigmoid"

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, clips, boxes):
        self.seen = clips, boxes
        return self.logits.expand(len(boxes), -1)


def batch(boxes, targets, clips=2, valid=None):
    return Batch(
        torch.zeros(clips, 1, 4, 32, 48, 3, dtype=torch.uint8),
        torch.ones(clips, dtype=torch.bool) if valid is None else torch.tensor(valid),
        torch.arange(clips),
        [str(n) for n in range(clips)],
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 5),
        box_targets=torch.tensor(targets, dtype=torch.float32).view(-1, 2),
    )


def context(seed=0):
    return StepContext(0, 1, torch.Generator().manual_seed(seed))


def step(model, given, augment=PLAIN, seed=0):
    (losses,) = DetectActions(("a", "b"), SPEC, augment).step(model, given, context(seed))
    return losses


BOXES = [[0, 4, 4, 20, 30], [0, 0, 0, 10, 10], [1, 10, 2, 30, 30]]


def test_the_loss_is_the_mean_over_boxes_and_classes():
    losses = step(Fixed(0.0, math.log(3)), batch(BOXES, [[1, 1], [0, 1], [0, 0]]))
    # class a: log 2 each; class b, of probability 3/4: -log(3/4) twice, -log(1/4) once
    expected = (3 * math.log(2) + 2 * math.log(4 / 3) + math.log(4)) / 6
    assert losses["loss"].item() == pytest.approx(expected)
    assert losses["top1"].item() == 1  # of two people with actions both do b


def test_boxes_of_a_clip_that_was_not_decoded_do_not_count():
    with_gap = step(Fixed(0.0, 1.0), batch(BOXES, [[1, 1], [0, 1], [0, 0]], valid=[True, False]))
    without = step(Fixed(0.0, 1.0), batch(BOXES[:2], [[1, 1], [0, 1]]))
    assert with_gap["loss"].item() == pytest.approx(without["loss"].item())


def test_no_boxes_are_no_loss_and_keep_the_graph():
    model = single_pathway("slow", detection=True, width=8, depth=(1, 1, 1, 1), num_classes=2)
    losses = step(model, batch([], []))
    assert losses["loss"].item() == 0
    losses["loss"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_a_batch_without_boxes_is_refused():
    given = batch(BOXES, [[1, 1]] * 3)
    given.boxes = None
    with pytest.raises(DataError, match="the batch has no boxes"):
        step(Fixed(0.0, 0.0), given)


@pytest.mark.parametrize(
    "setting", [{"mixup": 0.8}, {"cutmix": 1.0}, {"shift": 4}, {"rand_augment": "m7"}, {"label_smoothing": 0.1}]
)
def test_changes_that_leave_boxes_behind_are_refused(setting):
    with pytest.raises(ConfigError, match=f"data.augment.{next(iter(setting))} .* does not fit boxes"):
        DetectActions(("a",), SPEC, AugmentSection(**setting))


def test_flips_move_the_boxes_along():
    clips = torch.zeros(2, 3, 2, 16, 24)
    clips[:, :, :, 3:7, 2:9] = 1
    boxes = torch.tensor([[0.0, 2, 3, 9, 7], [1.0, 2, 3, 9, 7]])
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        turned, moved = flip(clips, boxes, 0.5, generator)
        for clip, x1, y1, x2, y2 in moved.int().tolist():
            inside = turned[clip, :, :, y1:y2, x1:x2]
            assert inside.min() == 1
            assert inside.sum() == turned[clip].sum()
    turned, moved = flip(clips, boxes, 1.0, None)
    assert moved.tolist() == [[0, 15, 3, 22, 7], [1, 15, 3, 22, 7]]
    assert flip(clips, boxes, 0.0, None)[1] is boxes


def test_the_step_flips_what_the_model_sees():
    model = Fixed(0.0, 0.0)
    step(model, batch(BOXES, [[1, 1]] * 3), AugmentSection(flip=1.0))
    assert model.seen[1].tolist() == [[0, 28, 4, 44, 30], [0, 38, 0, 48, 10], [1, 18, 2, 38, 30]]


def test_samples_become_a_batch():
    columns = {
        "clips": np.zeros((3, 2, 4, 8, 8, 3), np.uint8), "id": ["a", "b", "c"], "error": ["", "damaged", ""],
        "number": [5, 6, 7], "label": [-1, -1, -1],
        "boxes": [np.array([[0, 1, 1, 4, 4], [1, 0, 0, 4, 4]], float), np.zeros((0, 5)), np.array([[1, 2, 2, 3, 3]], float)],
        "box_targets": [np.array([[1, 0], [0, 1]]), np.zeros((0, 2)), np.array([[1, 1]])],
    }  # fmt: skip
    made = to_batch(columns)
    # two clips of each sample: the third sample's second clip is clip 5 of the batch
    assert made.boxes.tolist() == [[0, 1, 1, 4, 4], [1, 0, 0, 4, 4], [5, 2, 2, 3, 3]]
    assert made.box_targets.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert columns["boxes"][2][0, 0] == 1  # the sample itself stays as it is
    moved = made.to("cpu")
    assert torch.equal(moved.boxes, made.boxes)
    assert len(made.tensors()) == 5
    plain = to_batch({key: value for key, value in columns.items() if not key.startswith("box")})
    assert plain.boxes is None
    assert len(plain.tensors()) == 3


def test_classes_travel_with_the_weights():
    said = {"task": "detect_actions", "classes": ["a", "b"]}
    assert DetectActions(("a", "b"), SPEC, PLAIN).describe() == said
    assert DetectActions(("a", "b"), SPEC, PLAIN, (1,)).describe() == {**said, "evaluated": [1]}


def halves(count, rng):
    """Clips with a bar that moves right or down in each half; classes: moves right, moves down, is bright."""
    clips = np.full((count, 1, 4, 32, 64, 3), 30, np.uint8)
    boxes, targets = [], []
    for sample in range(count):
        for half in (0, 1):
            right, bright = rng.random() < 0.5, rng.random() < 0.5
            start = rng.integers(0, 16)
            for t in range(4):
                place = (start + 4 * t) % 28
                patch = clips[sample, 0, t, :, 32 * half : 32 * half + 32]
                value = 250 if bright else 120
                (patch.swapaxes(0, 1) if right else patch)[place : place + 4] = value
            boxes.append([sample, 32 * half, 0, 32 * half + 32, 32])
            targets.append([right, not right, bright])
    boxes, targets = np.array(boxes, np.float32), np.array(targets, np.float32)
    return Batch(
        torch.from_numpy(clips), torch.ones(count, dtype=torch.bool), torch.arange(count), [""] * count,
        boxes=torch.from_numpy(boxes), box_targets=torch.from_numpy(targets),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "settings"),
    [("slow_r50_4x16_ava", {"width": 8, "depth": (1, 1, 1, 1), "dropout": 0.0}), ("x3d_tiny_detector", {})],
    ids=["slow", "x3d"],
)
def test_a_tiny_detector_learns_who_does_what(name, settings):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model: Any = zoo.create_model(name, num_classes=3, num_frames=4, **settings)
    task = DetectActions(("right", "down", "bright"), InputSpec(4, 1, 32), AugmentSection(flip=0.0))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for number in range(80):
        (yielded,) = task.step(model, halves(8, rng), context(number))
        optimizer.zero_grad()
        yielded["loss"].backward()
        optimizer.step()
        losses.append(yielded["loss"].item())
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    model.eval()
    test = halves(32, rng)
    with torch.no_grad():
        scores = model((test.clips[:, 0].permute(0, 4, 1, 2, 3).float() / 255 - 0.45) / 0.225, test.boxes).sigmoid().numpy()
    meter = ActionMeter(3)
    for clip in range(32):
        rows = (test.boxes[:, 0] == clip).numpy()
        boxes = test.boxes[rows, 1:].numpy()
        meter.add(boxes, scores[rows], boxes, test.box_targets[rows].numpy())
    assert meter.result().mean > 0.8
