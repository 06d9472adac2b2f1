"""The zoo: names, patterns, settings, recipes; and lightness."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import vidmodels
from vidmodels import zoo
from vidmodels.core.errors import ConfigError, WeightsError
from vidmodels.core.recipe import (
    ClassifyRecipe,
    ContrastiveRecipe,
    DetectRecipe,
    FeatureRecipe,
    MaskedRecipe,
    SynchronyRecipe,
    canonical_json,
)

TASKS = {
    MaskedRecipe: "pretrain_masked",
    FeatureRecipe: "pretrain_features",
    ContrastiveRecipe: "pretrain_contrastive",
    ClassifyRecipe: "classify",
    DetectRecipe: "detect_actions",
    SynchronyRecipe: "classify",
}
RECIPES = [(kind, name) for kind in TASKS for name in zoo.recipes(kind)]


def test_names_are_unique_and_rows_complete():
    rows = list(zoo.entries().values())
    assert len({row.name for row in rows}) == len(rows)
    for name, row in zoo.entries().items():
        assert row.name == name
        assert row.summary
        assert row.licence
        assert row.formats
        assert row.params is None or row.params > 0


def test_patterns():
    names = zoo.list_models()
    assert zoo.list_models("mae_st_vit_l") == [name for name in names if "mae_st_vit_l" in name]
    assert zoo.list_models("*pretrain") == [name for name in names if name.endswith("pretrain")]
    assert len(zoo.list_models("mae_st_vit_[bl]_pretrain")) == 2
    assert zoo.list_models("no such") == []
    assert vidmodels.list_models() == names


@pytest.mark.parametrize(
    ("wrong", "meant"), [("mae_st_vit_tny", "mae_st_vit_tiny"), ("mae_st_vit_l_pretrian", "mae_st_vit_l_pretrain")]
)
def test_unknown_name(wrong, meant):
    with pytest.raises(ConfigError, match=f"unknown model '{wrong}' .did you mean '{meant}'"):
        vidmodels.create_model(wrong)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"num_clases": 3}, "no setting 'num_clases' .did you mean 'num_classes'"),
        ({"dim": 50}, r"dim 50 is not a multiple of num_heads \d"),
        ({"num_frames": 15}, "choose a number of frames"),
        ({"size": 30}, "choose a number of rows"),
    ],
)
def test_impossible_settings(setting, message):
    with pytest.raises(ConfigError, match=message):
        vidmodels.create_model("mae_st_vit_tiny", **setting)


def test_settings_change_model_and_input():
    model: Any = vidmodels.create_model("mae_st_vit_tiny", num_classes=3, num_frames=8, size=16)
    assert model.head.out_features == 3
    assert (model.input.num_frames, model.input.size, model.input.frame_stride) == (8, 16, 1)
    assert model.entry is zoo.entry("mae_st_vit_tiny")
    assert zoo.entry("mae_st_vit_tiny").input.num_frames == 16


def test_weights_of_other_places():
    from torch import nn

    with pytest.raises(ConfigError, match=r"made by vidmodels\.create_model"):
        zoo.load_weights(nn.Linear(1, 1), "x.pth")
    with pytest.raises(WeightsError, match="no way to read nowhere:/"):
        zoo.resolve_weights("nowhere://x")
    assert str(zoo.resolve_weights("a/b.pth")) == "a/b.pth"


@pytest.mark.parametrize(("kind", "name"), RECIPES, ids=[name for _, name in RECIPES])
def test_recipes(kind, name):
    recipe = zoo.recipes(kind)[name]()
    assert type(recipe) is kind
    assert kind.model_validate_json(canonical_json(recipe.model_dump(mode="json"))) == recipe
    row = zoo.entry(recipe.model.name)
    assert name in row.recipes
    assert row.task == TASKS[kind]
    clip = recipe.data.clip
    assert (clip.num_frames, clip.frame_stride, clip.size) == (
        row.input.num_frames,
        row.input.frame_stride,
        row.input.size,
    )
    assert zoo.recipes(kind)[name].__doc__


def test_every_recipe_of_a_card_is_found():
    named = [name for row in zoo.entries().values() for name in row.recipes]
    assert sorted(named) == sorted(name for _, name in RECIPES)


def test_names_are_known_without_torch():
    code = "import sys; from vidmodels import zoo; zoo.entries(); zoo.list_models(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_unknown_attribute_of_the_package():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vidmodels.nothing
    assert "create_model" in dir(vidmodels)
