"""Recipes: frozen, typed trees of settings, free of torch."""

from vidmodels.core.recipe.ava import ava_convnet, ava_transformer
from vidmodels.core.recipe.base import Section, canonical_json, differing_keys, flatten, section_hash
from vidmodels.core.recipe.data import (
    AugmentSection,
    ClipSection,
    DataSection,
    LayoutSection,
    SourceSection,
    SyntheticSection,
    VideosSection,
)
from vidmodels.core.recipe.detect import DetectEvalSection, DetectorSection, DetectRecipe, KeyFramesSection
from vidmodels.core.recipe.multigrid import MultigridSection
from vidmodels.core.recipe.run import RunSection
from vidmodels.core.recipe.sound import SoundSection
from vidmodels.core.recipe.tasks import (
    ClassifierSection,
    ClassifyRecipe,
    ContrastiveModelSection,
    ContrastiveRecipe,
    ContrastiveTaskSection,
    EvalSection,
    FeatureModelSection,
    FeatureRecipe,
    FeatureTaskSection,
    MaskedModelSection,
    MaskedRecipe,
    MaskedTaskSection,
    Recipe,
    SynchronyModelSection,
    SynchronyRecipe,
)
from vidmodels.core.recipe.tiny import WHOLE_VIDEO, tiny_classifier, tiny_detector
from vidmodels.core.recipe.train import OptimSection, ScheduleSection, TrainSection

__all__ = [
    "AugmentSection", "ClassifierSection", "ClassifyRecipe", "ClipSection", "ContrastiveModelSection", "ContrastiveRecipe",
    "ContrastiveTaskSection", "DataSection", "DetectEvalSection",
    "DetectRecipe", "DetectorSection", "EvalSection", "FeatureModelSection", "FeatureRecipe", "FeatureTaskSection",
    "KeyFramesSection", "LayoutSection",
    "MaskedModelSection", "MaskedRecipe", "MaskedTaskSection", "MultigridSection", "OptimSection", "Recipe", "RunSection",
    "ScheduleSection", "Section", "SoundSection", "SourceSection", "SynchronyModelSection",
    "SynchronyRecipe", "SyntheticSection", "TrainSection", "VideosSection",
    "WHOLE_VIDEO", "ava_convnet", "ava_transformer", "canonical_json", "differing_keys", "flatten", "section_hash",
    "tiny_classifier", "tiny_detector",
]  # fmt: skip
