"""From a trained classifier to one of other classes, and from there by its name to answers; without Ray."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

import vidmodels
from tests.data import videos
from tests.pipelines.programs import BARE
from vidmodels import zoo
from vidmodels.cli.main import main as cli

RECIPE = "slow_tiny"


@pytest.fixture
def classes(tmp_path):
    """Two classes of six videos."""
    folder = tmp_path / "classes"
    for name in ("jump", "run"):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            videos.write(folder / name / f"{number}.mp4", 20, size=(32, 40))
    return folder


@pytest.fixture
def trained(tmp_path):
    """A file of a classifier of seven other classes."""
    torch.manual_seed(3)
    return zoo.save_weights(vidmodels.create_model(RECIPE, num_classes=7), tmp_path / "seven.safetensors")


def test_fine_tune_register_evaluate_and_predict_by_alias(programs, classes, trained, tmp_path, capsys):
    words = ("--data.path", str(classes), "--data.val-fraction", "0.4", "--run.pictures", "False")
    said = programs.classify("--init", str(trained), *words, "--run.register-as", "moves", "--run.alias", "best", recipe=RECIPE)
    assert said.code == 0, said.err
    assert "registered as models:/moves@best" in said.out
    assert "head.projection.weight: shape (7, " in said.err, "a new head is said"
    assert "new      head.projection.weight" in said.err

    said = programs.evaluate("models:/moves@best", "--data.path", str(classes), "--out", str(tmp_path / "found"))
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "found" / "evaluation.json").read_text())["videos"] == 12

    assert cli(["predict", "models:/moves@best", str(classes / "run" / "0.mp4"), "--json", "-"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["classes"] == ["jump", "run"]


def test_fine_tuning_starts_from_the_trained_backbone(programs, classes, trained):
    said = programs.classify(
        "--init", str(trained), "--data.path", str(classes), "--freeze", "backbone.*", *BARE, recipe=RECIPE
    )
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    before, _ = zoo.load_model(trained)
    after, about = zoo.load_model(run / "model" / "model.safetensors")
    start, end = dict(before.backbone.named_parameters()), dict(after.backbone.named_parameters())
    assert all(torch.equal(value, end[name]) for name, value in start.items())
    assert about["classes"] == ["jump", "run"]


def test_weights_of_a_sibling_are_refused(programs, classes, tmp_path):
    """Equal names of parameters, another width."""
    sibling = zoo.save_weights(vidmodels.create_model(RECIPE, width=16, num_classes=2), tmp_path / "sibling.safetensors")
    said = programs.classify("--init", str(sibling), "--data.path", str(classes), *BARE, recipe=RECIPE)
    assert said.code == 1
    assert "has shape" in said.err.strip().splitlines()[-1]
    assert "Traceback" not in said.err


def test_classes_that_changed_between_two_starts_of_a_run(programs, classes):
    words = ("--data.path", str(classes), "--run.name", "mine", *BARE)
    assert programs.classify(*words, recipe=RECIPE).code == 0
    shutil.move(classes / "run", classes / "swim")
    said = programs.classify(*words, recipe=RECIPE)
    assert said.code == 1
    last = said.err.strip().splitlines()[-1]
    assert "classes: 1 gone, such as 'run' and 1 new, such as 'swim'" in last
    assert "--run.name" in last
