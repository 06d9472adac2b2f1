"""Writing of H.264 video with optional AAC sound, byte for byte the same for the same pixels (PyAV).

T frames, H height, W width, S samples.
"""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

from vidmodels.data.synthetic.sound import RATE

AAC_BIT_RATE = 96_000
_X264 = {"crf": "20", "x264-params": "mbtree=0"}
"""Without macroblock trees: with them about one video in a thousand comes out with other bytes, even on one thread."""


def encode_mp4(frames: np.ndarray, fps: int, audio: np.ndarray | None = None, preset: str = "veryfast") -> bytes:
    """MP4 of frames uint8 [T, H, W, 3] (RGB, even H and W) with sound float32 [S] at 16 kHz."""
    buffer = io.BytesIO()
    # Bit-exact: no encoder version and no creation time in the file, so that equal scenes give equal bytes.
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=fps, options={"preset": preset, **_X264})
        video.width, video.height = frames.shape[2], frames.shape[1]
        video.pix_fmt = "yuv420p"
        # One thread: the encoder's slices, and so its bytes, depend on their number.
        video.codec_context.thread_count = 1
        video.time_base = Fraction(1, fps)
        sound = None
        if audio is not None:
            sound = container.add_stream("aac", rate=RATE, layout="mono")
            sound.bit_rate = AAC_BIT_RATE
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None and audio is not None:
            _encode_audio(container, sound, audio)
    return buffer.getvalue()


def _encode_audio(container, stream, audio: np.ndarray) -> None:
    for start in range(0, len(audio), 1024):
        piece = np.ascontiguousarray(audio[None, start : start + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
