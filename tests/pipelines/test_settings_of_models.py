"""Further settings of a model's builder in a recipe: they reach the model, and what cannot be is one sentence."""

from __future__ import annotations

import json
import re

import pytest

from pipelines.common.program import parse
from tests.pipelines.programs import BARE, sentence
from vidmodels import zoo
from vidmodels.core.recipe import ClassifyRecipe

TYPED = '{"width_factor": 1.5, "base_depths": [1, 1, 1, 1]}'


def test_they_are_typed_as_json_or_read_from_a_file(tmp_path):
    typed = parse(("x3d_tiny", "--model.settings", TYPED), "program", ClassifyRecipe, "x3d_tiny").recipe
    assert typed.model.settings == json.loads(TYPED)
    (tmp_path / "recipe.json").write_text(json.dumps(typed.model_dump(mode="json")))
    assert parse(("--recipe", str(tmp_path / "recipe.json")), "program", ClassifyRecipe, "x3d_tiny").recipe == typed


def test_without_any_a_run_keeps_its_name():
    assert "settings" not in zoo.recipes(ClassifyRecipe)["x3d_tiny"]().identity()["model"]
    typed = parse(("x3d_tiny", "--model.settings", TYPED), "program", ClassifyRecipe, "x3d_tiny").recipe
    assert typed.identity()["model"]["settings"] == json.loads(TYPED)


def test_the_model_is_built_with_them_and_loads_again(programs):
    said = programs.classify("--model.settings", TYPED, *BARE, recipe="x3d_tiny")
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    model, metadata = zoo.load_model(run / "model" / "model.safetensors")
    assert [len(stage) for stage in model.backbone.stages] == [1, 1, 1, 1]
    assert (metadata["settings"]["width_factor"], model.backbone.config.stem_dim) == (1.5, 24)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ('{"width_facto', "model.settings = .* is not possible: it must be a JSON object"),
        ('{"nonsense": 3}', "x3d_tiny has no setting 'nonsense'"),
        ('{"width_facter": 3}', "did you mean 'width_factor'"),
        ('{"width_factor": "wide"}', "cannot be built with model.settings {'width_factor': 'wide'}"),
        ('{"width_factor": -1}', "width_factor -1 must be greater than 0"),
        ('{"num_frames": 4}', "may not hold 'num_frames': say it as data.clip.num_frames"),
    ],
)
def test_what_cannot_be_is_said_before_training(programs, typed, said):
    answer = programs.classify("--model.settings", typed, *BARE, recipe="x3d_tiny")
    sentence(answer)
    assert re.search(said, answer.err.strip().splitlines()[-1]), answer.err
