"""Masked pre-training as a kind of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common.kinds.nearest import ByNearest
from vidmodels.core.recipe import MaskedRecipe

if TYPE_CHECKING:
    from vidmodels.tasks.base import Task


class Masked(ByNearest[MaskedRecipe]):
    """Evaluated by nearest neighbours where the recipe says so; the pictures show what is reconstructed."""

    task = "pretrain_masked"

    def model_settings(self) -> dict[str, Any]:
        settings = super().model_settings()
        changes = ("decoder_dim", "decoder_depth", "decoder_heads")
        given = {key: value for key in changes if (value := getattr(self.recipe.model, key)) is not None}
        if self.recipe.model.drop_path:
            settings["drop_path"] = self.recipe.model.drop_path
        return settings | given

    def make_task(self, model: Any) -> Task:
        from vidmodels.tasks.pretrain_masked import PretrainMasked

        return PretrainMasked(self.recipe.task, model.input, self.recipe.data.augment)

    def try_shapes(self, model: Any, clips: Any) -> None:
        model(clips, self.recipe.task.mask_ratio, self.recipe.task.mask_sampling, self.recipe.task.target)

    def pictures(self, model: Any, folder: Path, found: Any = None) -> None:
        from pipelines.common.pictures import reconstructions

        reconstructions(self.recipe, self.sources, model, folder)
