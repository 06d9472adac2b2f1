"""Log-mel spectrograms of sound, as audiovisual networks take them, and the resampling before them.

N clips, S samples, F frequencies, M mel bands, L rows of a whole spectrogram, R rows that a model takes.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidmodels.core.entry import AudioSpec
from vidmodels.core.errors import ConfigError

FLOOR = 1e-8  # added to the power before the logarithm: digital silence is log(1e-8)
SILENCE = 0.01  # variance of a normalised spectrogram below which it holds no sound (AVSlowFast's public code)


class AudioInput(NamedTuple):
    """rows: [N, 1, R, M] normalised, 0 where there is no sound; has_audio: bool [N]."""

    rows: Tensor
    has_audio: Tensor

    @property
    def missing(self) -> int:
        """How many clips have no sound."""
        return int((~self.has_audio).sum())


@torch.autocast("cuda", enabled=False)
@torch.autocast("cpu", enabled=False)
def audio_input(waveforms: Tensor, spec: AudioSpec, lengths: Tensor | None = None, present: Tensor | None = None) -> AudioInput:
    """What a model takes of the sound of each clip: R rows evenly over it.

    waveforms: [N, S] in -1..1 at spec.sample_rate, each the sound of a clip's own span of time, the mean of its channels;
    lengths: int64 [N], samples of each where shorter ones were padded (None: all S); present: bool [N], clips that may have
    sound (None: all). A sound shorter than a window, or without any change, is no sound.
    """
    spectrogram = log_mel(waveforms, spec)
    counts = num_rows(torch.full((len(waveforms),), waveforms.shape[-1]) if lengths is None else lengths, spec)
    counts = counts.to(waveforms.device)
    if spectrogram.shape[1] == 0:
        empty = waveforms.new_zeros(len(waveforms), 1, spec.rows, spec.mels)
        return AudioInput(empty, torch.zeros_like(counts, dtype=torch.bool))
    # floor(i (L - 1) / (R - 1)) in whole numbers: the references' long(linspace(0, L - 1, R)) without its rounding
    steps = torch.arange(spec.rows, device=waveforms.device)
    picks = steps * (counts.clamp(min=1) - 1).unsqueeze(1) // max(spec.rows - 1, 1)  # [N, R]
    rows = spectrogram.gather(1, picks.unsqueeze(-1).expand(-1, -1, spec.mels))
    rows = normalise(rows, spec)
    has_audio = (counts > 0) & has_sound(rows)
    has_audio = has_audio if present is None else has_audio & present.to(rows.device)
    return AudioInput(torch.where(has_audio.view(-1, 1, 1), rows, 0.0).unsqueeze(1), has_audio)


def log_mel(waveform: Tensor, spec: AudioSpec) -> Tensor:
    """Natural log of mel-band power, [..., L, M], of a waveform [..., S] in -1..1; L is 0 below one window.

    Hann windows that lie inside the waveform, without padding at its ends.
    """
    if waveform.shape[-1] < spec.window:
        return waveform.new_zeros(*waveform.shape[:-1], 0, spec.mels)
    flat = waveform.reshape(-1, waveform.shape[-1])
    filters = mel_filters(spec.sample_rate, spec.window, spec.mels).to(flat)
    window = torch.hann_window(spec.window, periodic=True, dtype=flat.dtype, device=flat.device)
    spectrum = torch.stft(
        flat, spec.window, spec.hop, spec.window, window, center=False, onesided=True, return_complex=True
    )  # [N, F, L]
    power = spectrum.real.square() + spectrum.imag.square()
    bands = power.transpose(1, 2) @ filters
    return (bands + FLOOR).log().reshape(*waveform.shape[:-1], *bands.shape[1:])


@functools.cache
def mel_filters(sample_rate: int, window: int, mels: int, f_min: float = 0.0, f_max: float | None = None) -> Tensor:
    """Triangles of equal area, evenly spaced on the HTK mel scale, float64 [F, M]; F = window / 2 + 1.

    mel(f) = 2595 log10(1 + f / 700). Do not change the result: it is kept.
    """
    top = sample_rate / 2 if f_max is None else f_max
    ends = 2595 * np.log10(1 + np.array([f_min, top]) / 700)
    corners = 700 * (
        10 ** (np.linspace(ends[0], ends[1], mels + 2) / 2595) - 1
    )  # band m rises from corner m to m + 1, falls to m + 2
    frequencies = np.linspace(0, sample_rate / 2, window // 2 + 1)[:, None]
    rising = (frequencies - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - frequencies) / (corners[2:] - corners[1:-1])
    return torch.from_numpy(np.minimum(rising, falling).clip(min=0) * 2 / (corners[2:] - corners[:-2]))


def normalise(spectrogram: Tensor, spec: AudioSpec) -> Tensor:
    """(spectrogram - mean) / std."""
    return (spectrogram - spec.mean) / spec.std


def has_sound(rows: Tensor) -> Tensor:
    """bool [...]: whether a normalised spectrogram [..., R, M] is more than silence, whose rows are all equal."""
    return rows.flatten(-2).var(-1) > SILENCE


def num_rows(samples: Tensor, spec: AudioSpec) -> Tensor:
    """Rows of the spectrogram of so many samples: windows that fit inside; int64 like `samples`."""
    return ((samples - spec.window).div(spec.hop, rounding_mode="floor") + 1).clamp(min=0)


def rows_between(spectrogram: Tensor, start: float, end: float, spec: AudioSpec, origin: float = 0.0) -> Tensor:
    """R rows [..., R, M] for `start` to `end` (seconds) of a longer spectrogram [..., L, M] that begins at `origin`.

    The first row's window begins at `start`, the last one's ends at `end`; the times are presentation times, so that sound
    and pictures stay together where their streams differ in length. What lies outside repeats the nearest row.
    """
    if spectrogram.shape[-2] == 0:
        raise ConfigError("the spectrogram has no row: the sound is shorter than a window, use audio_input")
    first = (start - origin) * spec.sample_rate / spec.hop
    last = max(((end - origin) * spec.sample_rate - spec.window) / spec.hop, first)
    picks = torch.linspace(first, last, spec.rows, dtype=torch.float64)
    picks = (picks + 1e-6).floor().long().clamp(0, spectrogram.shape[-2] - 1)  # a start of 3.9999999 rows is row 4
    return spectrogram.index_select(-2, picks.to(spectrogram.device))


def resample(waveform: Tensor, rate: int, new_rate: int) -> Tensor:
    """A waveform [..., S] at `rate` Hz as one at `new_rate` Hz, [..., ceil(S new_rate / rate)].

    Polyphase filtering with a Kaiser-windowed sinc (beta 5, ten zero crossings on each side of the lower rate); silence
    lies beyond the ends.
    """
    if rate < 1 or new_rate < 1:
        raise ConfigError(f"sound cannot be resampled from {rate} to {new_rate} Hz: rates must be at least 1")
    if rate == new_rate:
        return waveform
    common = math.gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    kernels, begins = _phases(up, down)
    taps = kernels.shape[1]
    length = -(-waveform.shape[-1] * up // down)
    cycles = -(-length // up)
    # output n = cycle * up + phase looks at `taps` samples from cycle * down + begins[phase]
    starts = (torch.arange(cycles).unsqueeze(1) * down + begins).to(waveform.device)  # [cycles, up]
    before = int(-begins.min())
    after = max(int(starts.max()) + taps - waveform.shape[-1], 0)
    windows = functional.pad(waveform, (before, after)).unfold(-1, taps, 1)
    picked = windows.index_select(-2, (starts + before).flatten()).unflatten(-2, (cycles, up))
    return (picked * kernels.to(waveform)).sum(-1).flatten(-2)[..., :length]


@functools.lru_cache(maxsize=8)
def _phases(up: int, down: int) -> tuple[Tensor, Tensor]:
    """The filter's taps for each of `up` phases, float64 [up, taps], and the first sample that each looks at, int64 [up]."""
    widest = max(up, down)
    half = 10 * widest
    kernel = np.sinc(np.arange(-half, half + 1) / widest) * np.kaiser(2 * half + 1, 5.0)
    kernel *= up / kernel.sum()
    phase = np.arange(up)
    begins = -((half - phase * down) // up)  # ceil((phase * down - half) / up)
    # sample k adds kernel[n * down - k * up + half] x[k] to output n
    places = (phase * down + half - begins * up)[:, None] - np.arange(2 * half // up + 1) * up
    kernels = np.where(places >= 0, kernel[places.clip(min=0)], 0.0)
    return torch.from_numpy(kernels), torch.from_numpy(begins)
