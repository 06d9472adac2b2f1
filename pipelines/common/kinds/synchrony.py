"""Learning from synchrony of sound and pictures as a kind of training: no labels, and no classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelines.common.kinds.base import Kind
from pipelines.common.kinds.sound import compares, empty_sound, hearing_of, sound_settings
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import SynchronyRecipe

if TYPE_CHECKING:
    from vidmodels.data.reader import TrainReader
    from vidmodels.tasks.base import Task


class Synchrony(Kind[SynchronyRecipe]):
    """Nothing is evaluated: the metrics say how often a clip's own sound was told from another."""

    task = "classify"

    def reader(self) -> TrainReader:
        hearing = hearing_of(self.entry(), self.recipe.sound)
        return self.sources.reader(self.recipe.data, self.recipe.train.seed, hearing)

    def model_settings(self) -> dict[str, Any]:
        row = self.entry()
        if row.input.audio is None:
            raise ConfigError(f"model.name {row.name!r} takes no sound: choose one that hears, such as avslowfast_tiny")
        if self.recipe.sound.drop_clips:
            raise ConfigError("sound.drop_clips is for classes: synchrony cannot be learned from clips without their sound")
        if not compares(row, self.recipe.sound):
            raise ConfigError(
                f"{row.name} compares sound and pictures nowhere, so there is nothing to learn: name levels, as in "
                "--sound.sync-levels res3 res4 res5"
            )
        return super().model_settings() | sound_settings(row, self.recipe.sound) | {"num_classes": 0}

    def make_task(self, model: Any) -> Task:
        from vidmodels.tasks.audiovisual import LearnSynchrony
        from vidmodels.tasks.hearing import refuse_mixing

        refuse_mixing(self.recipe.data.augment)
        return LearnSynchrony(model.input, self.recipe.data.augment, self.recipe.sound)

    def try_shapes(self, model: Any, clips: Any) -> None:
        rows = empty_sound(model.input, clips)
        model(clips, rows, misaligned=rows)
