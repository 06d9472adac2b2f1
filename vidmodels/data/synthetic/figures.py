"""Stick figures: 13 joints moved by five factors, of which the class's runs in time and all others are frozen.

T frames. Limbs keep their length, so that each moves rigidly in the plane and its flow is exact. In the body's own
units its height is about 1, y points down, and the feet stand at y = 0.
"""

from __future__ import annotations

import numpy as np

from vidmodels.data.synthetic.motion import Phases

FIGURE_CLASSES = ("raise", "lower", "crouch", "stand", "lean_left", "lean_right", "wave", "walk")
"""Classes of action; the first six are pairs that only the order of the frames tells apart."""

JOINTS = (
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
NECK, PELVIS = 13, 14
"""Two helper points after the 13 joints: middle of the shoulders and middle of the hips."""
LIMBS = ((14, 13), (1, 2), (7, 8), (13, 0), (7, 9), (9, 11), (8, 10), (10, 12), (1, 3), (3, 5), (2, 4), (4, 6))
"""Pairs of points, in drawing order: trunk, shoulders, hips, neck, legs, arms."""
LIMB_WIDTH = (0.10, 0.05, 0.05, 0.05, 0.05, 0.045, 0.05, 0.045, 0.045, 0.04, 0.045, 0.04)
LIMB_BRIGHTNESS = (0.75, 0.75, 0.75, 0.75, 1.0, 1.0, 0.6, 0.6, 1.0, 1.0, 0.6, 0.6)
"""The figure's left limbs are brighter than its right ones: without it left and right could not be told apart."""
HEAD_RADIUS = 0.075

_FACTOR = {"raise": "arms", "lower": "arms", "crouch": "knees", "stand": "knees"}
_FACTOR |= {"lean_left": "lean", "lean_right": "lean", "wave": "wave", "walk": "walk"}
_SIGN = {"raise": 1, "lower": -1, "crouch": 1, "stand": -1, "lean_left": -1, "lean_right": 1}
_TRUNK, _NECK, _SHOULDER, _UPPER, _FORE = 0.29, 0.13, 0.10, 0.16, 0.15
_HIP, _THIGH, _SHIN = 0.06, 0.23, 0.22


def figure_track(name: str, num_frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pose [T, 4] (centre, 0, half height) and joints [T, 13, 2] as fractions of the frame's side."""
    phase = Phases(_FACTOR[name], num_frames, rng)
    wanted = _SIGN.get(name)

    def between(factor: str, low: float, high: float, travel: float) -> np.ndarray:
        """A monotone factor inside [low, high]; it passes through `travel` of that range."""
        start = rng.uniform(0, 1 - travel)
        value = start + travel * (0.5 + phase.sign(factor, wanted) * (phase(factor) - 0.5))
        return low + (high - low) * value

    def swing(factor: str) -> np.ndarray:
        return np.sin(2 * np.pi * (rng.uniform(1.5, 2.5) * phase(factor) + rng.random()))

    arms, knees, lean = (
        between("arms", 0.3, 2.5, 0.7),
        between("knees", 0.1, 1.0, 0.75),
        between("lean", -0.5, 0.5, 0.8),
    )
    wave, walk = swing("wave"), swing("walk")
    body = _joints(arms, knees, lean, wave, walk)
    height = rng.uniform(0.66, 0.80)
    place = np.array([rng.uniform(0.42, 0.58), rng.uniform(0.88, 0.94)])
    joints = place + body * height
    pose = np.column_stack([joints.mean(axis=1), np.zeros(num_frames), np.full(num_frames, height / 2)])
    return pose, joints


def _joints(arms, knees, lean, wave, walk) -> np.ndarray:
    """Joints [T, 13, 2] from the five factors, each [T] in radians or -1..1."""
    frames = len(arms)
    out = np.zeros((frames, 13, 2))

    def along(angle: np.ndarray, length: float) -> np.ndarray:
        """Vector of a length at an angle from straight down, turning towards +x."""
        return length * np.stack([np.sin(angle), np.cos(angle)], -1)

    pelvis = np.stack([np.zeros(frames), -(_THIGH + _SHIN) * np.cos(knees)], -1)
    up = along(np.pi - lean, 1.0)
    neck = pelvis + _TRUNK * up
    out[:, 0] = neck + _NECK * up
    across = np.stack([np.cos(lean), np.sin(lean)], -1)
    # The figure faces the viewer: its left is on the right of the picture.
    for side, shoulder, elbow, wrist, hip, knee, ankle in ((1, 1, 3, 5, 7, 9, 11), (-1, 2, 4, 6, 8, 10, 12)):
        out[:, shoulder] = neck + side * _SHOULDER * across
        upper = side * arms - lean
        out[:, elbow] = out[:, shoulder] + along(upper, _UPPER)
        bend = 0.5 + (0.8 * wave if side == 1 else 0.0)
        out[:, wrist] = out[:, elbow] + along(upper + side * bend, _FORE)
        out[:, hip] = pelvis + np.array([side * _HIP, 0])
        lift = np.maximum(side * walk, 0)
        out[:, knee] = out[:, hip] + along(side * (knees + 0.7 * lift), _THIGH)
        out[:, ankle] = out[:, knee] + along(side * (-knees + 0.1 * lift), _SHIN)
    return out


def with_helpers(joints: np.ndarray) -> np.ndarray:
    """Joints [..., 13, 2] with neck and pelvis appended: [..., 15, 2]."""
    neck = joints[..., 1:3, :].mean(-2, keepdims=True)
    pelvis = joints[..., 7:9, :].mean(-2, keepdims=True)
    return np.concatenate([joints, neck, pelvis], axis=-2)
