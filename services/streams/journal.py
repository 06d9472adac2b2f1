"""What is left of a stream when its replica dies: settings, the frames that the next window needs, how far it came.

One folder for each stream in the spool, of which any replica restores it. Frames lie there as they came.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

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
        """Keep a picture that came; it is moved into the folder."""
        target = self.folder / f"frame-{time!r}"
        os.replace(picture, target)
        self._kept.append((time, target))

    def progress(self, state: dict[str, Any], since: float) -> None:
        """Note how far the stream came, and drop pictures from before `since` (seconds)."""
        self._write("state.json", state)
        while self._kept and self._kept[0][0] < since:
            self._kept.popleft()[1].unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Any] | None, list[tuple[float, Path]]]:
        """How far it came, and the pictures that are kept, by time."""
        try:
            state = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            state = None
        found = [(float(path.name.removeprefix("frame-")), path) for path in self.folder.glob("frame-*")]
        self._kept = deque(sorted(found))
        return state, list(self._kept)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, values: dict[str, Any]) -> None:
        handle, aside = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        with os.fdopen(handle, "w") as stream:
            json.dump(values, stream)
        os.replace(aside, self.folder / name)
