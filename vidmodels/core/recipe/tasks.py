"""Recipe sections of models and tasks, and the recipes composed of them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from vidmodels.core.recipe.base import LATER, Section
from vidmodels.core.recipe.data import DataSection, VideosSection
from vidmodels.core.recipe.multigrid import MultigridSection
from vidmodels.core.recipe.sound import SoundSection
from vidmodels.core.recipe.train import OptimSection, ScheduleSection, TrainSection


def _from_text(value: Any) -> Any:
    """Settings of a command line, where they are typed as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('it must be a JSON object such as {"depth_factor": 2.2}') from None


Settings = Annotated[dict[str, JsonValue], BeforeValidator(_from_text)]
"""Keywords of a builder as JSON values."""


class MaskedModelSection(Section):
    """A masked autoencoder: a name of the zoo and what may be changed about it."""

    name: str = "mae_st_vit_tiny_pretrain"
    """Name in the zoo (`vidmodels models '*pretrain*'`)."""
    decoder_dim: int | None = Field(None, ge=8)
    """Width of the decoder; default: the model's own."""
    decoder_depth: int | None = Field(None, ge=1)
    """Blocks of the decoder; default: the model's own."""
    decoder_heads: int | None = Field(None, ge=1)
    """Attention heads of the decoder; default: the model's own."""
    drop_path: float = Field(0.0, ge=0, lt=1)
    """Largest rate of stochastic depth in the encoder."""


class MaskedTaskSection(Section):
    """Masked pre-training (MAE-ST, section 3)."""

    mask_ratio: float = Field(0.9, ge=0, lt=1)
    """Share of the tokens that the encoder does not see."""
    mask_sampling: Literal["random", "tube", "frame", "block", "per_frame"] = "random"
    """Masked together: nothing, whole columns in time, whole time steps, cubes, or as many in each frame."""
    target: Literal["normalised", "pixel"] = "normalised"
    """What is predicted: pixels normalised per patch, or plain pixels."""
    knn_videos: int = Field(0, ge=0, json_schema_extra=LATER)
    """Training videos among whose features the nearest say what labelled validation videos are, at each evaluation; 0: nothing
    is evaluated."""


class FeatureModelSection(Section):
    """A predictor of masked features: a name of the zoo and what may be changed about it."""

    name: str = "maskfeat_tiny_pretrain"
    """Name in the zoo (`vidmodels models 'maskfeat*pretrain'`)."""
    drop_path: float = Field(0.0, ge=0, lt=1)
    """Largest rate of stochastic depth in the encoder."""


class FeatureTaskSection(Section):
    """Masked feature prediction (MaskFeat, sections 3 and 5)."""

    mask_ratio: float = Field(0.4, gt=0, lt=1)
    """Largest share of the cells that are masked; blocks seldom reach it quite."""
    mask_sampling: Literal["cube", "tube", "frame", "uniform"] = "cube"
    """Masked together: space-time cubes, blocks of the plane over all time, whole time steps, or nothing."""
    target: Literal["pixel", "hog", "code", "feature", "label"] = "hog"
    """What is predicted: pixels, histograms of oriented gradients, or what a teacher says: the code of a discrete
    autoencoder, features, shares of classes."""
    normalise_pixels: bool = True
    """Pixels are predicted with unit variance in each token."""
    teacher: str = ""
    """Of the last three targets: a model of the zoo, or MODULE:FUNCTION that gives a module (README of maskfeat)."""
    teacher_weights: str = ""
    """Checkpoint of a teacher from the zoo."""
    knn_videos: int = Field(0, ge=0, json_schema_extra=LATER)
    """Training videos among whose features the nearest say what labelled validation videos are, at each evaluation; 0: nothing
    is evaluated."""

    @model_validator(mode="after")
    def _teacher_fits(self):
        taught = self.target in ("code", "feature", "label")
        if taught and not self.teacher:
            raise ValueError(f"target {self.target!r} needs a teacher: name a model of the zoo or MODULE:FUNCTION")
        if self.teacher and not taught:
            raise ValueError(f"target {self.target!r} is computed from the pixels: leave out the teacher")
        if self.teacher_weights and (not self.teacher or ":" in self.teacher):
            raise ValueError("teacher_weights are of a teacher from the zoo: name one, or load them in your function")
        return self


class ContrastiveModelSection(Section):
    """A contrastive model: a name of the zoo and what may be changed about it."""

    name: str = "rho_moco_tiny"
    """Name in the zoo (`vidmodels models rho`)."""
    queue: int | None = Field(None, ge=1)
    """Keys that MoCo keeps; default: the model's own."""


class ContrastiveTaskSection(Section):
    """Persistent contrastive learning (Feichtenhofer et al. 2021, section 3); rho is data.clip.repeats."""

    temperature: float = Field(0.1, gt=0)
    """Divides similarities; of BYOL only a scale of the loss."""
    momentum: float = Field(0.994, ge=0, le=1)
    """Of the slow copy of MoCo and BYOL at the start; it rises to 1 along a half cosine."""
    multi_view_queue: bool = True
    """The queue takes the keys of all clips of a video, not of the first alone."""
    epsilon: float = Field(0.05, gt=0)
    """SwAV: how sharp its codes are."""
    iterations: int = Field(3, ge=1)
    """SwAV: normalisations of rows and columns."""
    knn_temperature: float = Field(0.1, gt=0)
    """Of the nearest neighbours that validation videos with labels are classified by."""
    knn_batch: int = Field(16, ge=1)
    """Validation videos at once."""


class ClassifierSection(Section):
    """A classifier: a name of the zoo and what may be changed about it."""

    name: str = "mae_st_vit_tiny"
    """Name in the zoo (`vidmodels models`)."""
    drop_path: float = Field(0.0, ge=0, lt=1)
    """Largest rate of stochastic depth."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before the last linear layer."""
    settings: Settings = Field({}, json_schema_extra=LATER)
    """Further settings of the model's builder, as create_model takes them; as JSON, for example {"depth_factor": 2.2}."""


class SynchronyModelSection(Section):
    """A model that sees and hears, without its classes."""

    name: str = "avslowfast_tiny"
    """Name in the zoo (`vidmodels models avslowfast`)."""


class EvalSection(Section):
    """Multi-view evaluation: the scores of clips x crops of each video as one."""

    num_clips: int = Field(1, ge=1)
    """Clips evenly over the video."""
    num_crops: Literal[1, 3] = 1
    """Crops along the long side."""
    size: int | None = Field(None, ge=8)
    """Side of the crops in pixels; default: data.clip.size."""
    combine: Literal["mean", "max"] = "mean"
    """How the scores of a video's views become one: mean, or the largest of each class (Charades)."""
    batch_size: int = Field(16, ge=1)
    """Views per forward pass."""


class Recipe(Section):
    """What every recipe has."""

    data: VideosSection = VideosSection()
    optim: OptimSection = OptimSection()
    schedule: ScheduleSection = ScheduleSection()
    train: TrainSection = TrainSection()


class MaskedRecipe(Recipe):
    """Masked pre-training on unlabelled video."""

    model: MaskedModelSection = MaskedModelSection()
    data: DataSection = DataSection()
    task: MaskedTaskSection = MaskedTaskSection()


class FeatureRecipe(Recipe):
    """Masked feature prediction on unlabelled video or images."""

    model: FeatureModelSection = FeatureModelSection()
    data: DataSection = DataSection()
    task: FeatureTaskSection = FeatureTaskSection()


class ContrastiveRecipe(Recipe):
    """Persistent contrastive learning on unlabelled video."""

    model: ContrastiveModelSection = ContrastiveModelSection()
    data: DataSection = DataSection()
    task: ContrastiveTaskSection = ContrastiveTaskSection()


class ClassifyRecipe(Recipe):
    """Training a classifier, from scratch or from an encoder (`train.init`)."""

    model: ClassifierSection = ClassifierSection()
    data: DataSection = DataSection()
    sound: SoundSection = SoundSection()
    """Of models that hear."""
    multigrid: MultigridSection = MultigridSection()
    """Shapes of clips and batches that change while a model learns."""
    evaluation: EvalSection = EvalSection()

    @model_validator(mode="after")
    def _grids_fit(self):
        self.multigrid.check(self.data.clip, self.schedule, self.train)
        return self


class SynchronyRecipe(Recipe):
    """Learning which sound belongs to which pictures, on videos with sound and without labels."""

    model: SynchronyModelSection = SynchronyModelSection()
    data: DataSection = DataSection()
    sound: SoundSection = SoundSection()
