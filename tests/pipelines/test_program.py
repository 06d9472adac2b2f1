"""The command line of the programs: recipes, keys, files, and what it says about mistakes."""

from __future__ import annotations

import json

import pytest

from pipelines.common.program import exit_with, parse
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import ClassifyRecipe, MaskedRecipe


def parsed(*words: str, recipe_type=MaskedRecipe, default: str = "mae_st_tiny"):
    return parse(words, "program", recipe_type, default)


def test_the_default_recipe_with_a_key_changed():
    plain, changed = parsed(), parsed("--optim.lr", "0.5", "--run.num-workers=3")
    assert changed.recipe == plain.recipe.replace(optim=plain.recipe.optim.replace(lr=0.5))
    assert changed.run.num_workers == 3
    assert (changed.fresh, changed.dry_run, changed.print_config) == (False, False, False)


def test_a_named_recipe():
    recipe = parsed("mae_st_vit_l_k400").recipe
    assert recipe.model.name == "mae_st_vit_l_pretrain"
    assert (recipe.schedule.epochs, recipe.data.clip.repeats, recipe.optim.clip_norm) == (200, 4, 0.02)


@pytest.mark.parametrize("words", [("--fresh",), ("--fresh", "True"), ("--fresh=True",), ("--fresh", "--optim.lr", "1")])
def test_flags_may_stand_alone(words):
    assert parsed(*words).fresh


def test_short_forms():
    recipe = parsed("--init", "w.safetensors", "--freeze", "encoder.*", "norm.*").recipe
    assert (recipe.train.init, recipe.train.freeze) == ("w.safetensors", ("encoder.*", "norm.*"))


def test_what_print_config_writes_is_read_again(tmp_path):
    first = parsed("mae_st_vit_b_k400", "--task.mask-ratio", "0.8")
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({**first.recipe.model_dump(mode="json"), "run": first.run.model_dump(mode="json")}))
    assert parsed("--recipe", str(file)).recipe == first.recipe
    again = parsed("--recipe", str(file), "--task.mask-ratio", "0.7").recipe
    assert again.task.mask_ratio == 0.7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mae_st_tinny",), "unknown recipe 'mae_st_tinny' .did you mean 'mae_st_tiny'"),
        (("--task.mask-ratio", "1.0"), "task.mask_ratio = 1.0 is not possible: .*less than 1"),
        (("--data.clip.crop-area", "0.9", "0.5"), "^clip.crop_area .0.9, 0.5. must satisfy"),
        (("--recipe",), "--recipe needs the path"),
        (("--recipe", "nowhere.json"), "no recipe file at nowhere.json"),
    ],
)
def test_a_mistake_is_one_sentence(words, message):
    with pytest.raises(ConfigError, match=message):
        parsed(*words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot read the recipe file"),
        ("[1]", "holds list, not an object"),
        ('{"optim": {"learning_rate": 1}}', "unknown key 'optim.learning_rate'"),
        ('{"optim": {"lrr": 1}}', "did you mean 'optim.lr'"),
        ('{"task": {"mask_ratio": 2}}', "task.mask_ratio = 2 is not possible"),
        ('{"train": {"parallel": "fsdp", "ema_decay": 0.9}}', "train.ema_decay is not kept with train.parallel=fsdp"),
    ],
)
def test_a_bad_recipe_file_is_one_sentence(tmp_path, content, message):
    file = tmp_path / "recipe.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=message):
        parsed("--recipe", str(file))


def test_an_unknown_key_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--task.mask-ration", "0.5")
    assert ended.value.code == 2
    assert "--task.mask-ratio" in capsys.readouterr().err


def test_help_lists_the_recipes_and_the_ranges(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed("--help", recipe_type=ClassifyRecipe, default="mae_st_tiny_classifier")
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "mae_st_vit_l_k400_finetune" in said
    assert "Crops along the long side" in said
    assert "[>= 0, < 1]" in said, "the range of a number"
    assert "--run.num-workers" in said


def test_exit_codes(capsys):
    def raising(error):
        def body():
            raise error

        return body

    for body, code in ((lambda: 3, 3), (raising(ConfigError("no")), 2), (raising(KeyboardInterrupt()), 130)):
        with pytest.raises(SystemExit) as ended:
            exit_with("program", body)
        assert ended.value.code == code
    assert capsys.readouterr().err == "program: no\n"
