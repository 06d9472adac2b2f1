"""Sound on its way into a model: from the waveforms of a batch, or of a video's views, to spectrograms.

B videos, R clips of each, N = B*R clips, S samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidmodels.core.batch import Batch
from vidmodels.core.entry import AudioSpec
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.recipe import AugmentSection, SoundSection
from vidmodels.losses.synchronisation import mix_negatives
from vidmodels.ops.logmel import AudioInput, audio_input
from vidmodels.tasks.base import StepContext


def sound_of(batch: Batch, spec: AudioSpec) -> AudioInput:
    """Spectrograms of the clips' own sounds, N of them. Raises DataError for a batch that was read without sound."""
    if batch.sound is None or batch.has_sound is None or batch.sound_samples is None:
        raise DataError("the batch was read without sound, and the model hears: give its reader a Hearing")
    return _spectrograms(batch.sound, batch.sound_samples, batch.has_sound, spec)


def misaligned_sound(batch: Batch, spec: AudioSpec, sound: SoundSection, context: StepContext) -> Tensor | None:
    """Spectrograms [N, 1, rows, mels] that do not belong to the clips, by the run's progress; None where none were read.

    Those of other videos first, which are easy to tell; then some of the same video at another time.
    """
    if batch.other_sound is None or batch.sound_samples is None:
        return None
    other = _spectrograms(batch.other_sound, batch.sound_samples, None, spec).rows
    return mix_negatives(other, context.step, round(sound.easy_part * context.total_steps), sound.easy_share)


def sound_of_views(columns: dict[str, Any], index: int, spec: AudioSpec, device: torch.device | str) -> AudioInput:
    """Spectrograms of the views of one video of the columns that a `ViewReader` with a Hearing returns."""
    if "sound" not in columns:
        raise DataError("the views were read without sound, and the model hears: give their reader a Hearing")
    views, has_sound = (torch.from_numpy(np.array(columns[key][index])).to(device) for key in ("sound", "has_sound"))
    lengths = torch.full((len(views),), int(columns["sound_samples"][index]), device=device)
    return audio_input(views, spec, lengths, has_sound)


def refuse_mixing(augment: AugmentSection) -> None:
    """Raise ConfigError for augmentations that would leave each clip with the sound of one of its two halves."""
    for key in ("mixup", "cutmix"):
        if getattr(augment, key):
            raise ConfigError(
                f"data.augment.{key} {getattr(augment, key):g} mixes pictures, but not their sounds: set it to 0 for a model "
                "that hears"
            )


def _spectrograms(waves: Tensor, samples: Tensor, present: Tensor | None, spec: AudioSpec) -> AudioInput:
    repeats = waves.shape[1]
    flags = None if present is None else present.flatten()
    return audio_input(waves.flatten(0, 1), spec, samples.repeat_interleave(repeats), flags)
