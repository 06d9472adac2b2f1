"""Sections: frozen, strict, with one canonical JSON and hash."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vidmodels.core.errors import did_you_mean
from vidmodels.core.recipe import ClassifyRecipe, ClipSection, DataSection, MaskedRecipe, TrainSection, canonical_json
from vidmodels.core.recipe.base import differing_keys, flatten, section_hash


def test_unknown_keys_and_wrong_values_are_errors():
    for bad in (
        {"model": {"nmae": "x"}},
        {"optim": {"lr": 0}},
        {"task": {"mask_ratio": 1.0}},
        {"schedule": {"batch_size": 0}},
    ):
        with pytest.raises(ValidationError):
            MaskedRecipe.model_validate(bad)


def test_frozen_and_replaced_with_validation():
    recipe = MaskedRecipe()
    with pytest.raises(ValidationError):
        recipe.optim = recipe.optim  # type: ignore[misc]
    assert recipe.optim.replace(lr=0.5).lr == 0.5
    assert recipe.optim.lr == 1e-3
    with pytest.raises(ValidationError):
        recipe.optim.replace(lr=-1)


def test_sections_that_contradict_themselves():
    for make in (
        lambda: ClipSection(crop_area=(0.5, 0.2)),
        lambda: ClipSection(crop_aspect=(2, 1)),
        lambda: DataSection(path="a", sources=({"path": "b"},)),
        lambda: TrainSection(parallel="fsdp", ema_decay=0.9),
    ):
        with pytest.raises(ValidationError):
            make()


def test_json_round_trip_and_hash():
    recipe = ClassifyRecipe()
    text = canonical_json(recipe.model_dump(mode="json"))
    again = ClassifyRecipe.model_validate_json(text)
    assert again == recipe
    assert canonical_json(again.model_dump(mode="json")) == text
    other = recipe.replace(optim=recipe.optim.replace(lr=0.5))
    assert section_hash(canonical_json(other.model_dump(mode="json"))) != section_hash(text)
    assert differing_keys(recipe.model_dump(), other.model_dump()) == ["optim.lr: 0.001 -> 0.5"]


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {"d": (2,)}}, "e": None}) == {"a.b": 1, "a.c.d": (2,), "e": None}


def test_did_you_mean():
    assert did_you_mean("slowfst", ["slowfast", "x3d"]) == " (did you mean 'slowfast'?)"
    assert did_you_mean("zzz", ["slowfast"]) == ""
