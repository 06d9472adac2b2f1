"""The sound of the windows of a video, beside their pictures: read from a second handle, so that neither moves the other.

N clips, R rows and M mel bands of a spectrogram, S samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from os import PathLike

import numpy as np
import torch

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, MediaError
from vidmodels.data.frames import open_sample
from vidmodels.data.hearing import read_spans
from vidmodels.data.probe import Limits
from vidmodels.inference.windows import Span, window_seconds
from vidmodels.ops.logmel import AudioInput, audio_input


class Ear:
    """Hears the windows of one video, with the memory of some of them.

    spec: the input of a model that hears; required: a window without sound is an error; fps: of a folder of pictures. Raises
    MediaError, also where the sound cannot be decoded, and ConfigError for a model that takes no sound.
    """

    def __init__(
        self,
        video: str | PathLike[str],
        spec: InputSpec,
        limits: Limits | None = None,
        required: bool = False,
        fps: float | None = None,
    ) -> None:
        if spec.audio is None:
            raise ConfigError("the model takes no sound: leave out require_sound, or choose one that hears")
        self.spec, self.audio, self.required = spec, spec.audio, required
        self._reader = open_sample(str(video), fps, limits)

    def __enter__(self) -> Ear:
        self._reader.__enter__()
        info = self._reader.info
        if self.required and not info.has_audio:
            self._reader.__exit__()
            raise MediaError(f"{self._reader.uri} has no sound, and sound is required: give a video with an audio stream")
        return self

    def __exit__(self, *exc: object) -> None:
        self._reader.__exit__()

    def hear(self, spans: Sequence[Span], repeats: int = 1) -> AudioInput:
        """Spectrograms [N, 1, R, M] of windows of the model's clip length, each `repeats` times for its crops.

        Where a video ends within its last window, silence follows, as its last frame is repeated.
        """
        reader, rate, seconds = self._reader, self.audio.sample_rate, window_seconds(self._reader.info, self.spec)
        times = [(span.start, span.start + seconds) for span in spans]
        if reader.info.has_audio:
            waves = read_spans(reader.read_audio, times, rate)
        else:
            waves = np.zeros((len(spans), max(round(seconds * rate), 1)), np.float32)
        found = audio_input(torch.from_numpy(waves), self.audio, present=torch.from_numpy(waves.any(1)))
        if self.required and found.missing:
            start, end = times[int((~found.has_audio).nonzero()[0])]
            raise MediaError(
                f"{reader.uri} has no sound from {start:.2f} to {end:.2f} s, and sound is required: give a video whose sound "
                "is as long as its pictures"
            )
        return AudioInput(*(values.repeat_interleave(repeats, 0) for values in found))


def ear_for(
    video: str | PathLike[str], spec: InputSpec, limits: Limits | None, required: bool, fps: float | None = None
) -> AbstractContextManager[Ear | None]:
    """An Ear for a model that hears; for another one nothing, unless sound is required of it."""
    return Ear(video, spec, limits, required, fps) if spec.audio is not None or required else nullcontext()
