"""Recipe section of sound: what models that see and hear do with it while they learn."""

from __future__ import annotations

from pydantic import Field

from vidmodels.core.recipe.base import Section


class SoundSection(Section):
    """Sound, of models that hear: how often it is left out, and how it is compared with the pictures."""

    drop_pathway: float | None = Field(None, ge=0, le=1)
    """Share of the training steps without the lateral connections of sound (DropPathway); default: the model's own."""
    drop_clips: float = Field(0.0, ge=0, le=1)
    """Share of the clips that are classified from their pictures alone while learning, as if they had no sound."""
    sync_levels: tuple[str, ...] | None = None
    """Levels where sound and pictures are compared (stem, res2 ... res5); default: the model's own."""
    sync_weight: float = Field(1.0, gt=0)
    """Weight of the losses of that comparison beside the loss of the classes."""
    easy_part: float = Field(0.5, ge=0, le=1)
    """First part of the run, in which all misaligned sounds come from other videos; then some come from the same video."""
    easy_share: float = Field(0.75, ge=0, le=1)
    """Share of the batch whose misaligned sounds come from other videos after that."""
