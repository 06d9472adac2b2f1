"""Tasks of models that see and hear: classification with sound, and learning from synchrony without any label.

N clips, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.batch import Batch
from vidmodels.core.entry import AudioSpec, InputSpec
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import num_classes_of
from vidmodels.core.recipe import AugmentSection, SoundSection
from vidmodels.data.transforms import prepare
from vidmodels.ops.logmel import AudioInput
from vidmodels.tasks.base import StepContext
from vidmodels.tasks.classify import Classify
from vidmodels.tasks.hearing import misaligned_sound, sound_of


@dataclass(frozen=True)
class ClassifyAudiovisual(Classify):
    """Classification of clips with their sound; clips without are masked, and their share is logged.

    Where misaligned sounds were read, the losses of synchronisation are added with the weight of `sound` (AVSlowFast,
    section 3.3).
    """

    sound: SoundSection = field(default_factory=SoundSection)

    def step(self, model: nn.Module, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields what `Classify` does, `without_sound`, the share of the clips, and `sync_loss` and `sync_*` of each level."""
        spec = audio_of(self.input)
        ready = prepare(batch, self.input, self.augment, context.generator, num_classes_of(self.classes))
        heard, misaligned = sound_of(batch, spec), misaligned_sound(batch, spec, self.sound, context)
        kept = torch.rand(len(ready.valid), generator=context.generator) >= self.sound.drop_clips
        answer: Any = model(ready.clips, heard.rows, heard.has_audio & kept.to(heard.has_audio.device), misaligned=misaligned)
        logged = self.losses(model, ready, answer if misaligned is None else answer.logits)
        if misaligned is not None:
            found = of_synchrony(answer.synchrony)
            logged |= found | {"loss": logged["loss"] + self.sound.sync_weight * found["sync_loss"]}
        yield logged | {"without_sound": without_sound(heard, ready.valid)}


@dataclass(frozen=True)
class LearnSynchrony:
    """Learning which sound belongs to which pictures, at several levels of the network, without labels."""

    input: InputSpec
    augment: AugmentSection
    sound: SoundSection

    def step(self, model: nn.Module, batch: Batch, context: StepContext) -> Iterator[dict[str, Tensor]]:
        """Yields `loss`, `sync_*`, the share of right comparisons at each level, and `without_sound`."""
        spec = audio_of(self.input)
        ready = prepare(batch, self.input, self.augment, context.generator)
        heard, misaligned = sound_of(batch, spec), misaligned_sound(batch, spec, self.sound, context)
        answer: Any = model(ready.clips, heard.rows, heard.has_audio, misaligned=misaligned)
        logged = of_synchrony(answer.synchrony)
        loss = logged.pop("sync_loss")
        yield {"loss": loss, **logged, "without_sound": without_sound(heard, ready.valid)}

    def describe(self) -> dict[str, Any]:
        return {"task": "synchrony"}


def audio_of(spec: InputSpec) -> AudioSpec:
    """The sound that a model takes. Raises ConfigError for one that takes none."""
    if spec.audio is None:
        raise ConfigError("the model takes no sound: choose one that hears, such as avslowfast_tiny")
    return spec.audio


def of_synchrony(synchrony: Any) -> dict[str, Tensor]:
    """`sync_loss`, and by level `sync_LEVEL`, the share of pairs that were told right (one half where none counts)."""
    shares = {f"sync_{level}": torch.nan_to_num(synchrony.accuracy(level), 0.5) for level in synchrony.near}
    return {"sync_loss": synchrony.loss, **shares}


def without_sound(heard: AudioInput, valid: Tensor) -> Tensor:
    """Share of the decoded clips that have no sound; valid: bool [N]."""
    return (~heard.has_audio & valid).sum() / valid.sum().clamp(min=1)
