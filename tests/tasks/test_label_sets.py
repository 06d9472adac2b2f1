"""Learning several label sets at once: the sum of losses, labels that are missing, mixing, scores."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from vidmodels import zoo
from vidmodels.core.batch import Batch
from vidmodels.core.label_sets import LabelSets
from vidmodels.core.recipe import AugmentSection
from vidmodels.data.mixing import smooth_targets
from vidmodels.tasks.base import StepContext
from vidmodels.tasks.classify import Classify, losses_of_sets, scores_of

SETS = LabelSets({"verb": ("take", "cut"), "noun": ("cup", "knife", "pan")})
LABELS = torch.tensor([[0, 1], [2, 0], [1, -1], [-1, -1]])  # noun, verb
ALL = torch.ones(4, dtype=torch.bool)


def logits_of(seed: int = 0) -> torch.Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def test_losses_are_added_over_the_labels_that_there_are():
    logits = logits_of()
    found = losses_of_sets(logits, LABELS, ALL, SETS)
    noun = functional.cross_entropy(logits[:3, :3], LABELS[:3, 0])
    verb = functional.cross_entropy(logits[:2, 3:], LABELS[:2, 1])
    assert_close(found["loss"], noun + verb)
    found["loss"].backward()
    assert not logits.grad[3].any(), "a clip without labels"
    assert not logits.grad[2, 3:].any(), "a clip without a verb"
    assert logits.grad[2, :3].any()


def test_shares_of_right_answers_are_of_the_clips_that_have_the_label():
    logits = torch.zeros(4, 5)
    logits[0, [0, 4]] = 1  # both right
    logits[1, [2, 4]] = 1  # the noun is right
    logits[2, [0, 3]] = 1  # the noun is wrong, and there is no verb
    found = losses_of_sets(logits, LABELS, ALL, SETS)
    assert {key: value.item() for key, value in found.items() if key != "loss"} == pytest.approx(
        {"noun_top1": 2 / 3, "verb_top1": 1 / 2, "action_top1": 1 / 2}
    )
    undecoded = losses_of_sets(logits, LABELS, torch.tensor([True, False, True, True]), SETS)
    assert (undecoded["noun_top1"].item(), undecoded["action_top1"].item()) == (0.5, 1.0)


def test_smoothing_and_mixing_are_of_each_set():
    smooth = smooth_targets(LABELS, SETS.sizes, 0.3)
    assert_close(smooth[0], torch.tensor([0.8, 0.1, 0.1, 0.15, 0.85]))
    assert_close(smooth[2], torch.tensor([0.1, 0.8, 0.1, 0.0, 0.0]))
    assert not smooth[3].any()
    logits = logits_of()
    found = losses_of_sets(logits, smooth, ALL, SETS)
    noun = functional.cross_entropy(logits[:3, :3], LABELS[:3, 0], label_smoothing=0.3)
    verb = functional.cross_entropy(logits[:2, 3:], LABELS[:2, 1], label_smoothing=0.3)
    assert_close(found["loss"], noun + verb)
    assert list(found) == ["loss"], "shares of right answers mean nothing there"


@pytest.mark.parametrize("augment", [{}, {"mixup": 0.8}, {"cutmix": 1.0, "mixup": 0.8}, {"label_smoothing": 0.1}])
def test_a_step_with_repeats_and_every_augmentation(augment):
    model = zoo.create_model("slow_tiny", num_classes=SETS.sizes)
    task = Classify(SETS, model.input, AugmentSection(**augment))
    clips = torch.randint(0, 255, (4, 2, 4, 32, 32, 3), dtype=torch.uint8)
    batch = Batch(clips, ALL, torch.arange(4), list("abcd"), LABELS.clamp(min=0))
    (found,) = task.step(model, batch, StepContext(0, 1, torch.Generator().manual_seed(0)))
    found["loss"].backward()
    assert found["loss"].item() == pytest.approx(torch.tensor([2.0, 3.0]).log().sum().item(), abs=0.2)
    grads = [layer.weight.grad.abs().sum() for layer in model.head.projection.values()]
    assert all(grad > 0 for grad in grads)
    assert task.describe()["classes"] == list(SETS)


def test_scores_of_each_set_sum_to_one():
    model = zoo.create_model("slow_tiny", num_classes=SETS.sizes)
    logits = logits_of()
    scores = scores_of(model, logits)
    assert_close(scores, torch.cat([logits[:, :3].softmax(1), logits[:, 3:].softmax(1)], 1))
