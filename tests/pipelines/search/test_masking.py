"""The grid of masked pre-training, and what trials at equal tokens have the same of."""

from __future__ import annotations

import pytest

from pipelines.common.search.masking import at_equal_tokens, grid
from pipelines.common.search.settings import MaskingSection
from tests.pipelines.programs import sentence
from vidmodels import zoo
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import MaskedRecipe

BASE = zoo.recipes(MaskedRecipe)["mae_st_tiny"]()  # ratio 0.75


def test_equal_tokens_are_steps_times_tokens():
    for ratio, factor in ((0.5, 0.5), (0.75, 1.0), (0.9, 2.5)):
        recipe = BASE.replace(task=BASE.task.replace(mask_ratio=ratio))
        found = at_equal_tokens(recipe, BASE)
        assert found.schedule.epochs == pytest.approx(BASE.schedule.epochs * factor)
        assert found.schedule.warmup_epochs == pytest.approx(BASE.schedule.warmup_epochs * factor)
        assert found.schedule.epochs * (1 - ratio) == pytest.approx(BASE.schedule.epochs * 0.25)
    steps = BASE.replace(schedule=BASE.schedule.replace(max_steps=100), task=BASE.task.replace(mask_ratio=0.75))
    assert at_equal_tokens(steps.replace(task=steps.task.replace(mask_ratio=0.9)), steps).schedule.max_steps == 250


def test_the_grid_has_every_place_for_both_comparisons():
    cells = grid(BASE, MaskingSection(ratios=(0.5, 0.75), samplings=("random", "tube"), decoder_dims=(32, 64)))
    assert len(cells) == 2 * 2 * 2 * 2
    assert {cell.recipe.model.decoder_dim for cell in cells} == {32, 64}
    own = [cell.recipe for cell in cells if cell.settings["task.mask_ratio"] == 0.75]
    assert own[: len(own) // 2] == own[len(own) // 2 :], "at the recipe's own ratio both are the same trials"


def test_a_decoder_that_cannot_be_is_one_sentence():
    with pytest.raises(ConfigError, match=r"model\.decoder_dim = 2 is not possible"):
        grid(BASE, MaskingSection(decoder_dims=(2,)))


def test_neighbours_without_labels_are_one_sentence(programs, tmp_path):
    from tests.data import videos

    for number in range(4):
        videos.write(tmp_path / f"{number}.mp4", 16, size=(32, 32))
    sentence(
        programs.pretrain("--data.path", str(tmp_path), "--task.knn-videos", "10"), "task.knn_videos needs validation videos"
    )


@pytest.mark.parametrize(
    ("words", "said"), [(("--search.ratios", "1.5"), "less than 1"), (("--search.equal", "steps"), "steps")]
)
def test_options_that_cannot_be(programs, words, said):
    answer = programs.tune_masking(*words)
    assert answer.code == 2
    assert said in answer.err
