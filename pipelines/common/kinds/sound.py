"""What kinds of training ask about the sound of a model that hears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vidmodels.core.entry import ZooEntry
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import SoundSection
from vidmodels.data.hearing import Hearing

if TYPE_CHECKING:
    from torch import Tensor

    from vidmodels.core.entry import InputSpec


def compares(row: ZooEntry, sound: SoundSection) -> bool:
    """Whether the model compares sound and pictures while it learns; a card without a word about it means that it does."""
    return bool(row.config.get("sync", True) if sound.sync_levels is None else sound.sync_levels)


def hearing_of(row: ZooEntry, sound: SoundSection | None = None) -> Hearing | None:
    """What is read of the sound for a model, None for one that takes none; sound: where it is to learn from it."""
    if row.input.audio is None:
        return None
    return Hearing(row.input.audio.sample_rate, sound is not None and compares(row, sound))


def sound_settings(row: ZooEntry, sound: SoundSection) -> dict[str, Any]:
    """What the section changes about the zoo's model. Raises ConfigError for settings of sound where none is taken."""
    if row.input.audio is None:
        if sound != SoundSection():
            raise ConfigError(f"model.name {row.name!r} takes no sound: leave out the settings sound.*")
        return {}
    settings: dict[str, Any] = {}
    if sound.drop_pathway is not None:
        settings["drop_pathway"] = sound.drop_pathway
    if sound.sync_levels is not None:
        settings["sync"] = sound.sync_levels
    return settings


def empty_sound(spec: InputSpec, clips: Tensor) -> Tensor | None:
    """Rows [N, 1, R, M] without content beside some clips, to try shapes with; None for a model that takes no sound."""
    audio = spec.audio
    return None if audio is None else clips.new_empty(len(clips), 1, audio.rows, audio.mels)
