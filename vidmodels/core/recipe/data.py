"""Recipe sections of the data: where the videos are, how clips are taken from them, how they are augmented."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from vidmodels.core.formats import Format
from vidmodels.core.recipe.base import LATER, Section


class LayoutSection(Section):
    """How the data set at a path is read."""

    format: Format = "auto"
    """auto: looks; folder of videos, folder per class of videos or of images, folder of frames for each video, Kinetics list
    (path + label), official Kinetics CSV, Parquet or JSON, list of frames, or the published lists of a data set."""
    root: str | None = None
    """Folder that holds the videos of a list or manifest; default: the folder of the list."""
    fps: float | None = Field(None, gt=0)
    """Frames per second of videos that lie as folders of pictures; Charades has 24."""
    split: str | None = None
    """Part of a data set that has several in one place: train1, test1, train2 ... of HMDB51; train, val of Ego4D."""
    label: str | None = None
    """Which label, where videos have one of each label set: verb, noun or action of EPIC-KITCHENS; default: all sets."""
    classes: str | None = None
    """File with the names of the classes, in the order of their numbers; default: those of the data set."""


class SourceSection(LayoutSection):
    """One source of videos."""

    path: str
    """Folder, list file, CSV or Parquet manifest; a local path or an object-store URI such as s3://bucket/folder."""
    weight: float = Field(1.0, gt=0)
    """How often each video comes in an epoch: 1 once, 0.5 in every second epoch, 2 twice."""


class SyntheticSection(Section):
    """The embedded data: the synthetic world, rendered once into a cache."""

    num_videos: int = Field(2000, ge=10)
    """Training videos (as many again divided by five for validation)."""
    size: int = Field(32, ge=16, le=512)
    """Side of the square frame in pixels."""
    num_frames: int = Field(16, ge=2)
    """Frames of a video, at 8 frames per second."""
    seed: int = 0
    """Seed of the world; equal seeds give equal videos."""
    hard: bool = False
    """Random polarity and full-contrast background (nothing learns it in minutes)."""
    sound: bool = False
    """With a sound track, and 12 classes of which four are told in pairs by their sound only."""
    colors: bool = False
    """With a second label set beside the motion: the colour of what moves."""


class ClipSection(Section):
    """How clips are taken from a video."""

    num_frames: int = Field(16, ge=1)
    """Frames of a clip (T)."""
    frame_stride: int = Field(4, ge=1)
    """Distance of two frames of a clip, in frames of `fps`."""
    fps: float | None = Field(None, gt=0)
    """Frames per second that the stride counts; default: the video's own."""
    size: int = Field(224, ge=8)
    """Side of the square crop in pixels."""
    repeats: int = Field(1, ge=1)
    """Clips taken from each decoded video (repeated sampling); each has its own time and crop."""
    sampling: Literal["random", "segment", "uniform"] = "random"
    """random: a random start; segment: one random frame of each of T equal segments; uniform: evenly over the whole video."""
    repeat_times: Literal["each", "sorted", "same"] = Field("each", json_schema_extra=LATER)
    """Of a video's `repeats` clips. each: anywhere; sorted: anywhere, in the order of time, with a `gap` where that is given;
    same: all at one time, so that their crops alone differ."""
    gap: tuple[float, float] | None = Field(None, json_schema_extra=LATER)
    """Smallest and largest distance in seconds from the end of a sorted clip to the start of the next; negative where they may
    overlap."""
    crop: Literal["random_resized", "random_short_side", "center"] = "random_resized"
    """random_resized: random area and aspect ratio; random_short_side: short side to a random length, then a square at a
    random place; center: short side to `size`, central square."""
    crop_area: tuple[float, float] = (0.5, 1.0)
    """Smallest and largest share of the frame's area in a random resized crop."""
    crop_aspect: tuple[float, float] = (0.75, 4 / 3)
    """Smallest and largest width / height of a random resized crop."""
    short_side: tuple[int, int] = (256, 320)
    """Smallest and largest length in pixels of the short side, for `random_short_side`."""
    short_side_inverse: bool = False
    """Draw the inverse of the short side's length evenly, so that small lengths come more often."""

    @model_validator(mode="after")
    def _ordered(self):
        if not 0 < self.crop_area[0] <= self.crop_area[1] <= 1:
            raise ValueError(f"clip.crop_area {self.crop_area} must satisfy 0 < smallest <= largest <= 1")
        if not 0 < self.crop_aspect[0] <= self.crop_aspect[1]:
            raise ValueError(f"clip.crop_aspect {self.crop_aspect} must satisfy 0 < smallest <= largest")
        if not 0 < self.short_side[0] <= self.short_side[1]:
            raise ValueError(f"clip.short_side {self.short_side} must satisfy 0 < smallest <= largest")
        if self.gap is not None and (self.gap[0] > self.gap[1] or self.repeat_times != "sorted"):
            raise ValueError(f"clip.gap {self.gap} must have smallest <= largest, and needs repeat_times 'sorted'")
        if self.repeat_times == "sorted" and self.sampling != "random":
            raise ValueError(f"clip.repeat_times 'sorted' needs sampling 'random', not {self.sampling!r}")
        if self.crop == "random_short_side" and self.short_side[0] < self.size:
            raise ValueError(f"clip.short_side {self.short_side} is smaller than the crop of clip.size {self.size}")
        return self


class AugmentSection(Section):
    """What happens to a batch on the training device."""

    flip: float = Field(0.5, ge=0, le=1)
    """Probability of a horizontal flip."""
    rand_augment: str = ""
    """RandAugment as 'm7-mstd0.5' (magnitude, its deviation, optional '-n2' operations); empty: none."""
    color_jitter: float = Field(0.0, ge=0)
    """Strength of a per-clip change of brightness, contrast and saturation; 0: none."""
    jitter: tuple[float, float, float, float] = Field((0.0, 0.0, 0.0, 0.0), json_schema_extra=LATER)
    """Contrastive views: largest change of brightness, contrast and saturation as factors, and of hue (1: the circle)."""
    jitter_p: float = Field(0.8, ge=0, le=1, json_schema_extra=LATER)
    """Probability of `jitter`."""
    grey: float = Field(0.0, ge=0, le=1, json_schema_extra=LATER)
    """Contrastive views: probability of a grey clip."""
    blur: float = Field(0.0, ge=0, le=1, json_schema_extra=LATER)
    """Contrastive views: probability of a Gaussian blur of 0.1 to 2 pixels."""
    difference: float = Field(0.0, ge=0, le=1, json_schema_extra=LATER)
    """Contrastive views: probability that a clip is replaced by the differences of its frames."""
    shift: int = Field(0, ge=0)
    """Largest random shift of the whole clip in pixels, borders replicated."""
    erasing: float = Field(0.0, ge=0, le=1)
    """Probability of random erasing (the same box in every frame)."""
    mixup: float = Field(0.0, ge=0)
    """Alpha of mixup; 0: none."""
    cutmix: float = Field(0.0, ge=0)
    """Alpha of cutmix; 0: none. With both, each batch takes one of them at random."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread over all classes."""


class VideosSection(Section):
    """What the data of every kind of run have."""

    addresses: ClassVar[tuple[str, ...]] = ("path", "val_path")
    """Fields that say where data lie; what they hold counts in a run's identity, not where."""

    path: str | None = None
    """Data to train on; default: the synthetic world."""
    val_path: str | None = None
    """Validation data, read like `path`; default: `val_fraction` of `path`."""
    val_fraction: float = Field(0.0, ge=0, lt=1)
    """Share that is kept for validation, chosen by a hash."""
    synthetic: SyntheticSection = SyntheticSection()
    clip: ClipSection = ClipSection()
    augment: AugmentSection = AugmentSection()
    max_bad_fraction: float = Field(0.05, ge=0, le=1)
    """The run stops with the list of files when more than this share of the samples could not be decoded."""

    @property
    def is_synthetic(self) -> bool:
        """Whether no data are named, so that the synthetic world is rendered."""
        return self.path is None


class DataSection(LayoutSection, VideosSection):
    """The data of a run: one path, or several weighted sources, or (with neither) the synthetic world."""

    addresses: ClassVar[tuple[str, ...]] = ("path", "val_path", "root", "classes", "sources")

    path: str | None = None
    """Folder, list or manifest to train on; default: the synthetic world."""
    val_path: str | None = None
    """Validation videos, read like `path`; default: `val_fraction` of `path`."""
    val_split: str | None = None
    """Part of `val_path` (default: of `path`) that is for validation; see `split`."""
    val_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of each class that is kept for validation, chosen by a hash of the video's id."""
    multi_label: bool = False
    """A video may have several labels (in a list: with semicolons between them); each class is then learned on its own."""
    sources: tuple[SourceSection, ...] = ()
    """Several weighted sources, instead of `path`."""

    @model_validator(mode="after")
    def _one_origin(self):
        if self.path is not None and self.sources:
            raise ValueError("data.path and data.sources exclude each other: name the videos in one of them")
        return self

    @property
    def is_synthetic(self) -> bool:
        return self.path is None and not self.sources
