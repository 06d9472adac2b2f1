"""What is left of a stream when its replica dies: settings, the frames that the next window needs, how far it came.

One folder for each stream in the spool, of which any replica restores it. Frames lie there as they came.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from services.problems import Problem

_ID = re.compile(r"[0-9a-f]{32}")


class Journal:
    """The folder of one stream. Every write is whole or not at all."""

    def __init__(self, spool: str | Path, stream_id: str) -> None:
        if not _ID.fullmatch(stream_id):
            raise Problem("unknown_stream", "there is no such stream: create one with POST /v1/streams")
        self.folder = Path(spool) / f"stream-{stream_id}"
        self._kept: deque[tuple[float, Path]] = deque()

    def create(self, settings: dict[str, Any]) -> None:
        self.folder.mkdir(mode=0o700, parents=True)
        self._write("settings.json", settings)

    def settings(self) -> dict[str, Any]:
        """Raises Problem where the stream is not there: it was closed, or dropped, or never was."""
        try:
            return json.loads((self.folder / "settings.json").read_text())
        except (OSError, ValueError):
            raise Problem("unknown_stream", "there is no such stream: it was closed, or idle for too long") from None

    def add(self, time: float, picture: Path) -> None:
        """Keep a picture that came."""
        shutil.copyfile(picture, self._path(time))
        self._kept.append((time, self._path(time)))

    def add_frames(self, frames: Iterable[tuple[float, np.ndarray]]) -> None:
        """Keep frames of a video, uint8 [H, W, 3], as pictures that lose nothing; those that are kept already stay."""
        import cv2

        for time, frame in frames:
            if not self._kept or time > self._kept[-1][0]:
                done, png = cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 1])
                assert done
                self._path(time).write_bytes(png.tobytes())
                self._kept.append((time, self._path(time)))

    def progress(self, state: dict[str, Any], since: float) -> None:
        """Note how far the stream came, up to the newest picture that is kept, and drop those from before `since` (seconds)."""
        self._write("state.json", {**state, "newest": self._kept[-1][0]})
        while self._kept and self._kept[0][0] < since:
            self._kept.popleft()[1].unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Any] | None, list[tuple[float, Path]]]:
        """How far it came, and the pictures up to there, by time; newer ones came without being counted, and come again."""
        try:
            state = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            state = None
        newest = -math.inf if state is None else state["newest"]
        found = sorted((float(path.name.removeprefix("frame-")), path) for path in self.folder.glob("frame-*"))
        self._kept = deque((time, path) for time, path in found if time <= newest)
        return state, list(self._kept)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, time: float) -> Path:
        return self.folder / f"frame-{time!r}"

    def _write(self, name: str, values: dict[str, Any]) -> None:
        handle, aside = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        with os.fdopen(handle, "w") as stream:
            json.dump(values, stream)
        os.replace(aside, self.folder / name)
