"""The things that a scene is made of: background, objects, occluders. T frames; lengths are fractions of the side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, eq=False)
class Background:
    """Smooth noise between `low` and `high`, tinted, seen through a window that moves by `offsets` [T, 2]."""

    noise_seed: int
    low: float
    high: float
    tint: tuple[float, ...]
    offsets: np.ndarray


@dataclass(frozen=True, eq=False)
class SceneObject:
    """A shape or a stick figure.

    pose: [T, 4] x, y, angle (radians, clockwise), radius; joints: [T, 13, 2] of a figure, else None.
    """

    id: int
    role: Literal["actor", "distractor", "twin"]
    outline: str
    texture: str
    color_name: str
    color: tuple[float, ...]
    pose: np.ndarray
    joints: np.ndarray | None = None

    @property
    def is_still(self) -> bool:
        return bool((self.pose == self.pose[0]).all()) and self.joints is None


@dataclass(frozen=True)
class Occluder:
    """A motionless rectangle (x0, y0, x1, y1) drawn over everything, or under the objects (`over` False)."""

    box: tuple[float, ...]
    color: tuple[float, ...]
    over: bool = True
