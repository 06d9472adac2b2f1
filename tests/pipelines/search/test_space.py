"""The space of a search: what is typed, what is drawn, and what cannot be."""

from __future__ import annotations

import json
import math

import pytest

from pipelines.common.search.space import Choice, Range, changed, describe, draw, read_space
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import ClassifyRecipe

RECIPE = ClassifyRecipe()


def test_ranges_and_lists():
    space = read_space("optim.lr=1e-4..1e-2:log optim.weight_decay=0.0,0.05 schedule.epochs=2..9 optim.name=sgd,adamw", RECIPE)
    assert space == {
        "optim.lr": Range(1e-4, 1e-2, log=True),
        "optim.weight_decay": Choice((0.0, 0.05)),
        "schedule.epochs": Range(2, 9),
        "optim.name": Choice(("sgd", "adamw")),
    }
    assert describe(space)["optim.lr"] == "0.0001..0.01:log"


def test_a_file_says_the_same(tmp_path):
    file = tmp_path / "space.json"
    file.write_text(json.dumps({"optim.lr": "1e-4..1e-2:log", "optim.betas": [[0.9, 0.95], [0.9, 0.999]]}))
    space = read_space(str(file), RECIPE)
    assert space["optim.lr"] == Range(1e-4, 1e-2, log=True)
    assert changed(RECIPE, {"optim.betas": space["optim.betas"].examples[0]}).optim.betas == (0.9, 0.95)


def test_whole_numbers_stay_whole():
    space = read_space("schedule.batch_size=4..64:log train.ema_decay=None,0.9", RECIPE)
    drawn = draw(space, 20, 0)
    assert all(isinstance(each["schedule.batch_size"], int) for each in drawn)
    assert {each["train.ema_decay"] for each in drawn} == {None, 0.9}


def test_lists_alone_give_all_combinations_once():
    space = read_space("optim.lr=0.1,0.2,0.1 optim.weight_decay=0,0.05", RECIPE)
    assert [tuple(each.values()) for each in draw(space, None, 0)] == [(0.1, 0), (0.1, 0.05), (0.2, 0), (0.2, 0.05)]
    assert len(draw(space, 100, 0)) == 4, "there are no more"


def test_equal_seeds_draw_equal_settings_and_more_samples_begin_with_the_same():
    space = read_space("optim.lr=1e-4..1e-2:log", RECIPE)
    assert draw(space, 9, 3)[:4] == draw(space, 4, 3) != draw(space, 4, 4)


def test_a_logarithmic_range_is_even_by_its_logarithm():
    values = [each["optim.lr"] for each in draw(read_space("optim.lr=1e-4..1e-2:log", RECIPE), 400, 0)]
    assert min(values) >= 1e-4
    assert max(values) <= 1e-2
    assert 0.42 < sum(math.log10(value) < -3 for value in values) / len(values) < 0.58


def test_settings_of_the_models_builder_may_vary():
    space = read_space("model.settings.width_factor=1.0..2.0", RECIPE)
    assert changed(RECIPE, {"model.settings.width_factor": 1.5}).model.settings == {"width_factor": 1.5}
    assert not space["model.settings.width_factor"].whole


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "^the search space is empty"),
        ("optim.lrr=1..2", r"^the search space: unknown key 'optim.lrr' \(did you mean 'optim.lr'\?\)$"),
        ("run.num_workers=1,2", "unknown key 'run.num_workers'"),
        ("optim=1,2", "unknown key 'optim'"),
        ("optim.lr=-1..1", r"^the search space: optim.lr = -1.0 is not possible: input should be greater than 0$"),
        ("optim.name=sgd,adam", "optim.name = 'adam' is not possible"),
        ("optim.lr=2..1", "optim.lr goes from 2 to 1: give the smaller number first"),
        ("optim.weight_decay=0..1:log", "has no logarithm"),
        ("optim.lr", "'optim.lr' is not KEY=VALUES"),
        ("optim.lr=1 optim.lr=2", "names optim.lr twice"),
        ("nowhere.json", "no search space at nowhere.json"),
    ],
)
def test_what_cannot_be_is_one_sentence(text, message):
    with pytest.raises(ConfigError, match=message):
        read_space(text, RECIPE)


def test_a_range_needs_a_number_of_samples():
    with pytest.raises(ConfigError, match=r"optim\.lr is a range: say with --search.samples"):
        draw(read_space("optim.lr=1e-4..1e-2:log", RECIPE), None, 0)


@pytest.mark.parametrize(
    ("content", "message"), [("{", "cannot read the search space"), ("[1]", "holds list"), ('{"optim.lr": 3}', "has 3")]
)
def test_a_bad_file_is_one_sentence(tmp_path, content, message):
    (tmp_path / "space.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_space(str(tmp_path / "space.json"), RECIPE)
