"""Transforms of videos [C, T, H, W], one draw for all frames: what PyTorchVideo offers, on torchvision's v2 where it has it.

Random choices come from torch's global generator, as torchvision's do; `Seeded` gives any transform a generator of its own.
"""

from vidmodels.data.mixing import smooth_targets
from vidmodels.data.video_transforms.boxes import (
    clip_boxes_to_image,
    crop_boxes,
    horizontal_flip_with_boxes,
    random_crop_with_boxes,
    random_short_side_scale_with_boxes,
    short_side_scale_with_boxes,
    uniform_crop_with_boxes,
)
from vidmodels.data.video_transforms.factory import create_video_transform
from vidmodels.data.video_transforms.mixing import CutMix, MixUp, MixVideo
from vidmodels.data.video_transforms.operations import apply_operation
from vidmodels.data.video_transforms.policies import AugMix, RandAugment, aug_mix, rand_augment
from vidmodels.data.video_transforms.spatial import (
    RandomResizedCrop,
    RandomShortSideScale,
    ShortSideScale,
    UniformCrop,
    UniformCropVideo,
    short_side_scale,
    uniform_crop,
)
from vidmodels.data.video_transforms.structure import (
    ApplyTransformToKey,
    OpSampler,
    Permute,
    RemoveKey,
    Seeded,
    channels_first,
    channels_last,
)
from vidmodels.data.video_transforms.temporal import (
    UniformTemporalSubsample,
    UniformTemporalSubsampleRepeated,
    uniform_temporal_subsample,
    uniform_temporal_subsample_repeated,
)
from vidmodels.data.video_transforms.values import Div255, Normalize

__all__ = [
    "ApplyTransformToKey", "AugMix", "CutMix", "Div255", "MixUp", "MixVideo", "Normalize", "OpSampler", "Permute",
    "RandAugment", "RandomResizedCrop", "RandomShortSideScale", "RemoveKey", "Seeded", "ShortSideScale", "UniformCrop",
    "UniformCropVideo", "UniformTemporalSubsample", "UniformTemporalSubsampleRepeated",
    "apply_operation", "aug_mix", "channels_first", "channels_last", "clip_boxes_to_image", "create_video_transform",
    "crop_boxes", "horizontal_flip_with_boxes", "rand_augment", "random_crop_with_boxes",
    "random_short_side_scale_with_boxes", "short_side_scale", "short_side_scale_with_boxes", "smooth_targets",
    "uniform_crop", "uniform_crop_with_boxes", "uniform_temporal_subsample", "uniform_temporal_subsample_repeated",
]  # fmt: skip
