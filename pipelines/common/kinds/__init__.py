"""The kinds of training, a file for each: what a recipe's type decides is asked of one object."""

from __future__ import annotations

from typing import Any

from pipelines.common.kinds.base import Kind
from pipelines.common.kinds.classify import Classify
from pipelines.common.kinds.contrastive import Contrastive
from pipelines.common.kinds.detect import Detect
from pipelines.common.kinds.masked import Masked
from pipelines.common.kinds.masked_features import MaskedFeatures
from pipelines.common.kinds.synchrony import Synchrony
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import (
    ClassifyRecipe,
    ContrastiveRecipe,
    DetectRecipe,
    FeatureRecipe,
    MaskedRecipe,
    Recipe,
    SynchronyRecipe,
)

_KINDS: dict[type[Recipe], type[Kind[Any]]] = {
    MaskedRecipe: Masked,
    FeatureRecipe: MaskedFeatures,
    ContrastiveRecipe: Contrastive,
    ClassifyRecipe: Classify,
    DetectRecipe: Detect,
    SynchronyRecipe: Synchrony,
}


def kind_of(recipe: Recipe) -> type[Kind[Any]]:
    """The kind of a recipe, to be called with the recipe and its data. Raises ConfigError for an unknown one."""
    for recipe_type, kind in _KINDS.items():
        if isinstance(recipe, recipe_type):
            return kind
    raise ConfigError(f"no task is known for a {type(recipe).__name__}")
