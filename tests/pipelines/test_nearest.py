"""Nearest neighbours as the evaluation of pre-training."""

from __future__ import annotations

import pytest
import torch

from pipelines.common.kinds import kind_of
from pipelines.common.kinds.nearest import evaluate_nearest, labelled
from vidmodels import zoo
from vidmodels.core.recipe import MaskedRecipe
from vidmodels.training.distributed import World


@pytest.fixture
def tiny(world):
    recipe = zoo.recipes(MaskedRecipe)["mae_st_tiny"]()
    recipe = recipe.replace(data=recipe.data.replace(synthetic=recipe.data.synthetic.replace(num_videos=20)))
    return recipe, kind_of(recipe).load_sources(recipe, str(world))


class Knowing:
    """An encoder whose features are what it was told of the videos, in the order in which it is asked."""

    input = zoo.entry("mae_st_vit_tiny_pretrain").input

    def __init__(self, answers: list[int], count: int) -> None:
        self.answers, self.count = iter(answers), count

    def features(self, clips):
        told = [next(self.answers) for _ in clips]
        return torch.nn.functional.one_hot(torch.tensor(told), self.count).float() * 100 + 1000


def labels_of(manifest) -> list[int]:
    return [manifest.row(i).label for i in range(len(manifest))]


def test_features_that_tell_the_classes_are_right_every_time_and_false_ones_never(tiny):
    recipe, sources = tiny
    train, val, count = labels_of(sources.train[0]), labels_of(sources.val), len(sources.classes)
    right = evaluate_nearest(Knowing(train + val, count), sources, recipe.data.clip, 1000, World())
    assert right.metrics["top1"] == 1.0
    assert right.metrics["videos"] == len(val)
    wrong = [(label + 1) % count for label in val]
    assert evaluate_nearest(Knowing(train + wrong, count), sources, recipe.data.clip, 1000, World()).metrics["top1"] == 0.0


def test_the_memory_is_spread_over_the_training_videos(tiny):
    recipe, sources = tiny
    train, val, count = labels_of(sources.train[0]), labels_of(sources.val), len(sources.classes)
    found = evaluate_nearest(Knowing(train[::2] + val, count), sources, recipe.data.clip, 10, World())
    kept = set(train[::2])
    assert found.metrics["top1"] == pytest.approx(sum(label in kept for label in val) / len(val))


def test_only_a_recipe_that_says_so_is_evaluated(tiny):
    recipe, sources = tiny
    assert labelled(sources)
    assert (kind_of(recipe)(recipe, sources).evaluates, kind_of(recipe)(recipe, sources).metric) == (False, "loss")
    asked = recipe.replace(task=recipe.task.replace(knn_videos=10))
    assert (kind_of(asked)(asked, sources).evaluates, kind_of(asked)(asked, sources).metric) == (True, "val_top1")
    assert "knn_videos" not in recipe.identity()["task"]
