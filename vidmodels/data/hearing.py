"""The sound of clips by presentation time: one channel, with what the reader of a data set has to know about it.

R clips of a video, S samples of each. Free of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidmodels.data.audio_spans import Span, misaligned_span
from vidmodels.data.probe import VideoInfo

ReadAudio = Callable[[float, float, int], np.ndarray]
"""Start and end in seconds and a rate in Hz to samples float32 [channels, S], as `VideoReader.read_audio`."""


@dataclass(frozen=True)
class Hearing:
    """What a reader of clips takes of their sound.

    rate: in Hz; misaligned: also the sound of another span of the same video, to learn which one belongs.
    """

    rate: int = 16000
    misaligned: bool = False


def sound_row(
    hearing: Hearing, read: ReadAudio, info: VideoInfo, spans: Sequence[Span], others: Sequence[Span] | None = None
) -> dict[str, Any]:
    """Columns of a row: `sound` float32 [R, S] of the spans, `has_sound` bool [R], and `other_sound` [R, S] of the others.

    What lies outside of the sound, or all of it in a video without, is zeros; a span without any sound has none.
    """
    if not info.has_audio:
        silence = np.zeros((len(spans), _samples(spans[0], hearing.rate)), np.float32)
        return silent_row(hearing, silence)
    sound = read_spans(read, spans, hearing.rate)
    row = {"sound": sound, "has_sound": sound.any(1)}
    if others is not None:
        row["other_sound"] = read_spans(read, others, hearing.rate)
    return row


def silent_row(hearing: Hearing, silence: np.ndarray) -> dict[str, Any]:
    """The columns of a row without sound, silence [R, S]."""
    row = {"sound": silence, "has_sound": np.zeros(len(silence), bool)}
    return row | {"other_sound": silence} if hearing.misaligned else row


def read_spans(read: ReadAudio, spans: Sequence[Span], rate: int) -> np.ndarray:
    """The mean of the channels in each of some spans that are equally long, float32 [R, S]."""
    found = np.zeros((len(spans), _samples(spans[0], rate)), np.float32)
    for row, (start, end) in zip(found, spans):
        mono = read(start, end, rate).mean(0)[: len(row)]
        row[: len(mono)] = mono
    return found


def other_span(aligned: Span, duration: float, rng: np.random.Generator) -> Span:
    """A span of the same video apart from the aligned one, or that one where the video has no room.

    A pair of equal sounds does not count when sound and pictures are compared, and as another video's sound it serves.
    """
    return misaligned_span(aligned, duration, rng) or aligned


def sound_columns(rows: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Sounds of several videos as columns: zeros follow the shorter ones, `sound_samples` int64 [M] are their lengths."""
    longest = max(1, *(row["sound"].shape[1] for row in rows))
    columns = {
        "has_sound": np.stack([row["has_sound"] for row in rows]),
        "sound_samples": np.array([row["sound"].shape[1] for row in rows], np.int64),
    }
    for key in ("sound", "other_sound"):
        if key in rows[0]:
            columns[key] = np.zeros((len(rows), len(rows[0][key]), longest), np.float32)
            for place, row in zip(columns[key], rows):
                place[:, : row[key].shape[1]] = row[key]
    return columns


def _samples(span: Span, rate: int) -> int:
    return max(round((span[1] - span[0]) * rate), 1)
