"""A clip of video, the request it answers, and where it came from. Free of torch.

T frames, H height, W width, C colours (RGB), S audio samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ClipRequest:
    """What to decode: the wanted presentation times and, optionally, a span of sound.

    times: [T] seconds from the start of the video; each answers with the frame shown at that time.
    audio: (start, end) in seconds, or None.
    """

    times: tuple[float, ...]
    audio: tuple[float, float] | None = None

    @property
    def start(self) -> float:
        return self.times[0]

    @property
    def end(self) -> float:
        return self.times[-1]


@dataclass(frozen=True)
class Source:
    """Where a clip came from: the sample's id, its address, and the video's size before any transform."""

    id: str
    uri: str
    height: int = 0
    width: int = 0


@dataclass
class Clip:
    """Decoded frames with their true times.

    frames: uint8 [T, H, W, C]; times: float64 [T], presentation times in seconds;
    repeated: how many trailing frames repeat the last one because the video ended;
    audio: float32 [channels, S] with `audio_rate` in Hz, or None.
    """

    frames: np.ndarray
    times: np.ndarray
    source: Source
    repeated: int = 0
    audio: np.ndarray | None = None
    audio_rate: int = 0
    targets: dict[str, Any] = field(default_factory=dict)
