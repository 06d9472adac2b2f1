"""Videos with a beep at a known time, for the tests of what hears."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidmodels.data.synthetic.encode import encode_mp4

RATE, FPS = 16000, 8


def beeping(path: Path, beep: float | None, seconds: float = 4.0, sound_seconds: float | None = None) -> Path:
    """A video of noise pictures; a beep of 0.1 s at 1 kHz at `beep` seconds over faint noise, None: no audio stream.

    sound_seconds: length of the sound, where it is shorter than the pictures.
    """
    pixels = np.random.default_rng(0).integers(0, 255, (round(seconds * FPS), 32, 32, 3), np.uint8)
    if beep is None:
        path.write_bytes(encode_mp4(pixels, FPS))
        return path
    time = np.arange(round((sound_seconds or seconds) * RATE)) / RATE
    wave = 0.001 * np.random.default_rng(1).standard_normal(len(time))
    wave += 0.5 * np.sin(2 * np.pi * 1000 * time) * ((time >= beep) & (time < beep + 0.1))
    path.write_bytes(encode_mp4(pixels, FPS, wave.astype(np.float32)))
    return path


def onset(wave: np.ndarray) -> float:
    """Seconds from the start of a waveform [S] to its beep."""
    return float(np.argmax(np.abs(wave) > 0.2) / RATE)
