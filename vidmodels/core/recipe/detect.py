"""Recipe sections of detectors of actions: key frames with boxes, and how they are evaluated."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from vidmodels.core.recipe.base import Section
from vidmodels.core.recipe.data import AugmentSection, ClipSection, VideosSection
from vidmodels.core.recipe.tasks import ClassifierSection, Recipe


class KeyFramesSection(VideosSection):
    """The data of a detector: files of boxes with actions, and the videos that they name, or the synthetic world."""

    addresses: ClassVar[tuple[str, ...]] = (
        "path", "root", "classes", "excluded", "detections", "val_path", "val_root", "val_excluded", "val_detections",
    )  # fmt: skip

    path: str | None = None
    """Boxes with actions to train on: AVA's CSV, or your own with a header; default: the synthetic world."""
    format: Literal["auto", "ava", "boxes"] = "auto"
    """How files of boxes are read: AVA's lists without a header, or columns video, time, x1, y1, x2, y2, label."""
    root: str | None = None
    """Folder of the videos; default: that of the boxes."""
    fps: float | None = Field(None, gt=0)
    """Each folder of pictures below `root` is a video of so many frames per second."""
    classes: str | None = None
    """Names of the classes: AVA's label map (.pbtxt), or one a line; default: those in the boxes."""
    excluded: str | None = None
    """AVA's list of moments that are left out."""
    detections: str | None = None
    """Boxes of a person detector that are trained on beside the true ones."""
    min_overlap: float = Field(0.9, gt=0, le=1)
    """Overlap from which a detected box has the actions of the true one."""
    negatives: bool = False
    """Detected boxes below that overlap are people who do nothing, instead of being left out."""
    min_score: float = Field(0.8, ge=0, le=1)
    """Lowest score of the detected boxes that count, in training and evaluation."""
    normalised: bool = False
    """The boxes of your own file are shares of the frame, not pixels (AVA's always are)."""
    val_path: str | None = None
    """Boxes with actions of the validation videos; default: `val_fraction` of the videos of `path`."""
    val_fraction: float = Field(0.0, ge=0, lt=1)
    """Share of the videos that is kept for validation, chosen by a hash of the video's name."""
    val_root: str | None = None
    """Folder of the validation videos; default: `root`."""
    val_excluded: str | None = None
    """AVA's list of moments that are not evaluated."""
    val_detections: str | None = None
    """Boxes of a person detector that are evaluated; default: the true boxes, given to the model."""
    clip: ClipSection = ClipSection(crop="random_short_side")

    @model_validator(mode="after")
    def _around_key_frames(self):
        if self.clip.sampling != "random":
            raise ValueError(f"clip.sampling {self.clip.sampling!r}: a detector's clips lie around key frames, leave it out")
        return self

    @model_validator(mode="after")
    def _of_a_path(self):
        for name in self.addresses:
            if self.path is None and getattr(self, name) is not None:
                raise ValueError(f"data.{name} {getattr(self, name)} is given without data.path: name the true boxes there")
        return self


class DetectEvalSection(Section):
    """Evaluation of a detector: mean average precision of actions in boxes over all key frames."""

    size: int | None = Field(None, ge=8)
    """Short side of the whole frames in pixels; default: the model's own."""
    min_overlap: float = Field(0.5, gt=0, le=1)
    """Overlap from which a box is the true one."""
    batch_size: int = Field(8, ge=1)
    """Key frames per forward pass."""


class DetectorSection(ClassifierSection):
    """A detector of actions: a name of the zoo and what may be changed about it."""

    name: str = "slowfast_tiny_detector"
    """Name in the zoo (`vidmodels models`, task detect_actions)."""


class DetectRecipe(Recipe):
    """Training a detector of actions: what each person in given boxes does."""

    model: DetectorSection = DetectorSection()
    data: KeyFramesSection = KeyFramesSection(augment=AugmentSection())
    evaluation: DetectEvalSection = DetectEvalSection()
