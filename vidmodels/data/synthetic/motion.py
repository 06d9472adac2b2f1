"""Motion of an actor: every factor has a trajectory, the class's factor runs in time, all others are frozen.

T frames. A pose is (x, y, angle, radius): places and radius as fractions of the side, the angle in radians, clockwise
on the screen because y points down.
"""

from __future__ import annotations

import numpy as np

CLASSES = ("left", "right", "up", "down", "cw", "ccw", "grow", "shrink", "oscillate", "circle")
"""Classes of motion; the first eight are pairs that only the order of the frames tells apart."""

FACTOR_OF = {
    "left": "x",
    "right": "x",
    "up": "y",
    "down": "y",
    "cw": "angle",
    "ccw": "angle",
    "grow": "growth",
    "shrink": "growth",
    "oscillate": "oscillation",
    "circle": "circle",
}
SIGN_OF = {"left": -1, "right": 1, "up": -1, "down": 1, "cw": 1, "ccw": -1, "grow": 1, "shrink": -1}
REVERSED = {
    "left": "right",
    "up": "down",
    "cw": "ccw",
    "grow": "shrink",
    "oscillate": "oscillate",
    "circle": "circle",
    "raise": "lower",
    "crouch": "stand",
    "lean_left": "lean_right",
    "wave": "wave",
    "walk": "walk",
}
REVERSED |= {later: earlier for earlier, later in REVERSED.items()}
"""The class that a video shows when it is played backwards."""


def rng_for(seed: int, *key: int) -> np.random.Generator:
    """Generator that depends on the numbers given and on nothing else."""
    return np.random.default_rng(np.random.SeedSequence([seed & 0xFFFFFFFF, *key]))


class Phases:
    """Times in [0, 1] at which a factor's trajectory is read: running for the class's factor, else frozen.

    A frozen time is drawn from the same grid that a running factor passes through, so that the value in a random
    frame has the same distribution in every class. Each call draws the same amount of randomness in every class.
    """

    def __init__(self, running: str, num_frames: int, rng: np.random.Generator):
        self.running, self.rng = running, rng
        self.grid = np.linspace(0.0, 1.0, num_frames)

    def __call__(self, factor: str) -> np.ndarray:
        frozen = self.grid[self.rng.integers(len(self.grid))]
        return self.grid if factor == self.running else np.full(len(self.grid), frozen)

    def sign(self, factor: str, wanted: int | None) -> int:
        """Direction of a factor: the class's own where it is the class's factor, else random."""
        random = 1 if self.rng.random() < 0.5 else -1
        return wanted if factor == self.running and wanted is not None else random


def actor_track(name: str, num_frames: int, rng: np.random.Generator, hard: bool = False) -> np.ndarray:
    """Pose [T, 4] of an actor of class `name`; ranges are those of the measured, learnable world."""
    phase = Phases(FACTOR_OF[name], num_frames, rng)
    wanted = SIGN_OF.get(name)
    base = rng.uniform(0.38, 0.62, 2)
    radius = rng.uniform(0.13, 0.20) if hard else rng.uniform(0.18, 0.26)

    x = base[0] + phase.sign("x", wanted) * rng.uniform(0.35, 0.55) * (phase("x") - 0.5)
    y = base[1] + phase.sign("y", wanted) * rng.uniform(0.35, 0.55) * (phase("y") - 0.5)

    axis, start = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    swing = rng.uniform(0.10, 0.18) * np.sin(2 * np.pi * rng.uniform(1.5, 2.5) * phase("oscillation") + start)
    x, y = x + swing * np.cos(axis), y + swing * np.sin(axis)

    turn = phase.sign("circle", wanted) * 2 * np.pi * rng.uniform(0.9, 1.6) * phase("circle") + rng.uniform(0, 2 * np.pi)
    orbit = rng.uniform(0.10, 0.18)
    x, y = x + orbit * np.cos(turn), y + orbit * np.sin(turn)

    spin = np.deg2rad(rng.uniform(90, 200))
    angle = rng.uniform(0, 2 * np.pi) + phase.sign("angle", wanted) * spin * (phase("angle") - 0.5)
    factor = rng.uniform(1.6, 2.4)
    radii = radius * factor ** (phase.sign("growth", wanted) * (phase("growth") - 0.5))
    return np.stack(np.broadcast_arrays(x, y, angle, radii), axis=-1)
