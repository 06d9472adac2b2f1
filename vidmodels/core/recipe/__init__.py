"""Recipes: frozen, typed trees of settings, free of torch."""

from vidmodels.core.recipe.base import Section, canonical_json, differing_keys, flatten, section_hash
from vidmodels.core.recipe.data import AugmentSection, ClipSection, DataSection, SourceSection, SyntheticSection
from vidmodels.core.recipe.run import RunSection
from vidmodels.core.recipe.tasks import (
    ClassifierSection,
    ClassifyRecipe,
    EvalSection,
    MaskedModelSection,
    MaskedRecipe,
    MaskedTaskSection,
    Recipe,
)
from vidmodels.core.recipe.train import OptimSection, ScheduleSection, TrainSection

__all__ = [
    "AugmentSection", "ClassifierSection", "ClassifyRecipe", "ClipSection", "DataSection", "EvalSection",
    "MaskedModelSection", "MaskedRecipe", "MaskedTaskSection", "OptimSection", "Recipe", "RunSection",
    "ScheduleSection", "Section", "SourceSection", "SyntheticSection", "TrainSection",
    "canonical_json", "differing_keys", "flatten", "section_hash",
]  # fmt: skip
