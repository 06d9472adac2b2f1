"""The setting in which memory matters: a shape is fully hidden for k frames while its twin may cross its way.

Two shapes of the same look move at constant velocity. The actor passes behind a bar that hides it completely for
exactly k frames and comes out where its velocity says. In half of the videos the twin passes behind the same bar in
the opposite direction at the same time, so that neither the look nor the nearest last place tells who is who.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vidmodels.data.synthetic.parts import Occluder, SceneObject
from vidmodels.data.synthetic.shapes import COLORS, TEXTURES, reach

HIDDEN_CHOICES = (2, 3, 4, 5, 6)
# Outlines with broad sides: a thin tip that shows for a fraction of a pixel would make k inexact.
_OUTLINES = ("disk", "square", "cross", "ring")


def occlusion_objects(
    seed: int, index: int, num_frames: int, hidden_frames: int | None, rng: np.random.Generator
) -> tuple[tuple[SceneObject, ...], tuple[Occluder, ...], dict]:
    """Twin and actor, the bar, and what was drawn: {"hidden_frames", "twin_crosses", "axis"}."""
    # The two choices that a table reports by are balanced by the index, not only in the mean.
    choices = [k for k in HIDDEN_CHOICES if k <= num_frames - 10]
    k = choices[(index // 2) % len(choices)] if hidden_frames is None else hidden_frames
    crosses = index % 2 == 0
    axis = int(rng.integers(2))
    way = 1.0 if rng.random() < 0.5 else -1.0
    radius, angle = rng.uniform(0.07, 0.085), float(rng.choice(np.arange(4)) * np.pi / 2)
    speed = rng.uniform(0.86, 0.92) / (num_frames - 1)
    # An even k is centred between two frames, an odd k on a frame.
    middle = num_frames // 2 - (0.5 if k % 2 == 0 else 0.0)
    lane = rng.uniform(0.36, 0.64)
    lane_gap = radius * rng.uniform(2.3, 2.9) * (1.0 if lane < 0.5 else -1.0)
    slope = rng.uniform(-0.12, 0.12, 2) / num_frames

    time = np.arange(num_frames) - middle
    outline = str(rng.choice(_OUTLINES))
    low, high = reach(outline, angle, axis)
    # Hidden while |distance| <= (k - 1) / 2 steps, visible again one step later: the bar's edge lies halfway.
    half = radius * max(-low, high) + k * speed / 2
    actor_path = np.stack([0.5 + way * speed * time, lane + slope[0] * time], -1)
    if crosses:
        twin_path = np.stack([0.5 - way * speed * time, lane + lane_gap + slope[1] * time], -1)
    else:
        # Stays before the bar, on the side where the actor comes out: the wrong one to follow by its look alone.
        stay = 0.5 + way * rng.uniform(0.40, 0.44)
        twin_path = np.stack([np.full(num_frames, stay), lane + 2 * lane_gap + slope[1] * time], -1)
    if axis == 1:
        actor_path, twin_path = actor_path[:, ::-1], twin_path[:, ::-1]

    name = str(rng.choice(list(COLORS)))
    color = tuple((np.asarray(COLORS[name]) * rng.uniform(0.8, 1.0)).clip(0.45, 1.0).tolist())
    look: dict[str, Any] = {"outline": outline, "texture": str(rng.choice(TEXTURES)), "color_name": name, "color": color}

    def track(path: np.ndarray) -> np.ndarray:
        return np.column_stack([path, np.full(num_frames, angle), np.full(num_frames, radius)])

    # Identities are dealt at random: which of the two is called 1 says nothing.
    actor_id = int(rng.integers(1, 3))
    objects = (
        SceneObject(id=3 - actor_id, role="twin", pose=track(twin_path), **look),
        SceneObject(id=actor_id, role="actor", pose=track(actor_path), **look),
    )
    box = (0.5 - half, -0.01, 0.5 + half, 1.01)
    box = box if axis == 0 else (box[1], box[0], box[3], box[2])
    bar = Occluder(box, tuple((rng.uniform(0.3, 0.5) * rng.uniform(0.85, 1.0, 3)).tolist()), over=k > 0)
    return objects, (bar,), {"hidden_frames": int(k), "twin_crosses": crosses, "axis": axis}
