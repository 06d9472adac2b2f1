"""Files of data sets that the tests make: empty ones that count as videos, lists, and folders of numbered frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.data.videos import numbered


def lay(folder: Path, *names: str) -> str:
    """Files of one byte under a folder; nothing opens them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return str(folder)


def write(path: Path, content: Any) -> str:
    """A text file, or JSON of what is no text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def frames(folder: Path, count: int = 10, size: tuple[int, int] = (48, 64), first: int = 1, ending: str = "png") -> str:
    """A folder of pictures 000001.png ..., each of which carries its place, from 0, as black and white blocks."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(count):
        picture(folder / f"{place + first:06d}.{ending}", numbered(place, *size))
    return str(folder)


def picture(path: Path, pixels: np.ndarray) -> None:
    """A picture file of uint8 [H, W, 3] RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1])
