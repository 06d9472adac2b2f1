"""Masked feature prediction as a kind of training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common.kinds.nearest import ByNearest
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import FeatureRecipe

if TYPE_CHECKING:
    from vidmodels.tasks.base import Task


class MaskedFeatures(ByNearest[FeatureRecipe]):
    """Evaluated by nearest neighbours where the recipe says so; the pictures show targets and predictions."""

    task = "pretrain_features"

    def model_settings(self) -> dict[str, Any]:
        settings = super().model_settings() | {"target": self.recipe.task.target}
        if self.recipe.model.drop_path:
            settings["drop_path"] = self.recipe.model.drop_path
        if (teacher := self._teacher()) is not None:
            settings["outputs"] = teacher.outputs
        return settings

    def make_task(self, model: Any) -> Task:
        from vidmodels.losses.feature_targets import make_target
        from vidmodels.tasks.pretrain_features import PretrainFeatures

        settings, encoder = self.recipe.task, model.backbone.config
        teacher = self._teacher()
        targets = [
            make_target(
                settings.target, encoder.stride_after(depth), encoder.is_image, settings.normalise_pixels, teacher,
                teacher and teacher.outputs,
            )
            for depth in model.depths
        ]  # fmt: skip
        return PretrainFeatures(settings, model.input, self.recipe.data.augment, targets, model.mask_grid)

    def try_shapes(self, model: Any, clips: Any) -> None:
        from vidmodels.ops.block_masking import sample_cells

        settings = self.recipe.task
        model(
            clips,
            sample_cells(settings.mask_sampling, len(clips), model.mask_grid(clips), settings.mask_ratio).to(clips.device),
        )

    def pictures(self, model: Any, folder: Path, found: Any = None) -> None:
        from pipelines.common.feature_pictures import save_panels

        save_panels(self, model, folder)

    def _teacher(self) -> Any:
        """The frozen network that the recipe names, None without one. Raises ConfigError, WeightsError."""
        settings = self.recipe.task
        if not settings.teacher:
            return None
        from vidmodels import zoo
        from vidmodels.tasks.teachers import ModelTeacher, own_teacher

        if ":" in settings.teacher:
            return own_teacher(settings.teacher)
        if settings.target == "code":
            raise ConfigError("no model of the zoo is a discrete autoencoder: give task.teacher as MODULE:FUNCTION")
        if not settings.teacher_weights:
            raise ConfigError(f"teacher {settings.teacher!r} would teach its initial weights: give task.teacher_weights")
        model = zoo.create_model(settings.teacher)
        zoo.load_weights(model, settings.teacher_weights)
        return ModelTeacher(model, self.entry().input, "label" if settings.target == "label" else "feature")
