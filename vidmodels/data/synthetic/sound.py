"""The sound track: 3 to 5 chirps over faint noise, rising or falling; S samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RATE = 16000
SOUND_SPLIT = ("oscillate", "circle")
"""Motions that the sound splits in two classes; for all others the sound is random, so that it cannot serve alone."""


@dataclass(frozen=True)
class SoundEvent:
    """One chirp: start and end in seconds, first and last frequency in Hz, loudness 0..1."""

    start: float
    end: float
    kind: str
    first_hz: float
    last_hz: float
    loudness: float


def sample_events(duration: float, kind: str | None, rng: np.random.Generator) -> tuple[SoundEvent, ...]:
    """Chirps that do not overlap; all of one `kind` ("rising" or "falling"), which is random when None."""
    chance = "rising" if rng.random() < 0.5 else "falling"
    kind = kind or chance
    count = int(rng.integers(3, 6))
    slot = duration / count
    events = []
    for number in range(count):
        length = slot * rng.uniform(0.5, 0.75)
        start = number * slot + rng.uniform(0.05, 0.95) * (slot - length)
        ratio = rng.uniform(1.5, 2.2)
        # The geometric middle is drawn, so that the mean pitch does not tell rising from falling.
        middle = rng.uniform(400, 1600) * np.sqrt(1.85)
        low, high = middle / np.sqrt(ratio), middle * np.sqrt(ratio)
        first, last = (low, high) if kind == "rising" else (high, low)
        events.append(SoundEvent(start, start + length, kind, float(first), float(last), rng.uniform(0.3, 0.8)))
    return tuple(events)


def synthesize(events: tuple[SoundEvent, ...], duration: float, rng: np.random.Generator) -> np.ndarray:
    """Waveform float32 [S] at 16 kHz in -1..1."""
    wave = rng.normal(0, 0.05 / 3, round(duration * RATE)).astype(np.float32)
    for event in events:
        first, count = round(event.start * RATE), round((event.end - event.start) * RATE)
        count = min(count, len(wave) - first)
        time = np.arange(count, dtype=np.float32) / RATE
        length = event.end - event.start
        phase = 2 * np.pi * (event.first_hz * time + (event.last_hz - event.first_hz) * time**2 / (2 * length))
        # Ramps of 10 ms: a click at the edges would be heard at every pitch.
        fade = np.clip(np.minimum(time, time[::-1]) / 0.01, 0, 1)
        wave[first : first + count] += (event.loudness * fade * np.sin(phase)).astype(np.float32)
    return wave.clip(-1, 1)
