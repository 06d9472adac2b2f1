"""Outlines and textures of the moving shapes, and the patch (colour and coverage) that an object is drawn from.

P side of a patch in pixels. A patch spans [-EXTENT, EXTENT] of the object's own units, in which its radius is 1.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

OUTLINES = ("disk", "square", "triangle", "star", "cross", "ring", "L", "bar")
TEXTURES = ("plain", "striped", "checked", "dotted")
COLORS = {
    "red": (1.0, 0.45, 0.45),
    "green": (0.45, 1.0, 0.45),
    "blue": (0.45, 0.55, 1.0),
    "yellow": (1.0, 1.0, 0.45),
    "cyan": (0.45, 1.0, 1.0),
    "magenta": (1.0, 0.45, 1.0),
    "white": (1.0, 1.0, 1.0),
}
EXTENT = 1.08
DARK_HALF = 0.4
"""Brightness of the darkened half of every texture: without it the rotation of symmetric outlines cannot be seen."""
_SUPERSAMPLING = 4


def outline_polygon(outline: str) -> np.ndarray:
    """Corners [K, 2] of an outline of radius 1 around the origin (a ring's hole is cut separately)."""
    if outline in ("disk", "ring"):
        turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        return np.stack([np.cos(turn), np.sin(turn)], -1)
    if outline == "square":
        return np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.80
    if outline == "triangle":
        turn = np.pi / 2 + np.arange(3) * 2 * np.pi / 3
        return np.stack([np.cos(turn), -np.sin(turn)], -1)
    if outline == "star":
        turn = np.pi / 2 + np.arange(10) * np.pi / 5
        reach = np.where(np.arange(10) % 2 == 0, 1.0, 0.48)
        return np.stack([np.cos(turn), -np.sin(turn)], -1) * reach[:, None]
    if outline == "cross":
        a, b = 0.32, 0.94
        corners = [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a)]
        return np.array([*corners, (-a, -a)])
    if outline == "L":
        return np.array([(-0.65, -0.85), (0.0, -0.85), (0.0, 0.25), (0.75, 0.25), (0.75, 0.85), (-0.65, 0.85)])
    if outline == "bar":
        return np.array([[-0.95, -0.38], [0.95, -0.38], [0.95, 0.38], [-0.95, 0.38]])
    raise KeyError(outline)


@lru_cache(maxsize=512)
def coverage(outline: str, side: int) -> np.ndarray:
    """Share of each patch pixel that the outline covers: float32 [P, P] in 0..1."""
    fine = side * _SUPERSAMPLING
    canvas = np.zeros((fine, fine), np.uint8)

    def to_pixels(points: np.ndarray) -> np.ndarray:
        return np.round(((points / EXTENT + 1) / 2 * fine - 0.5) * 256).astype(np.int32)

    cv2.fillPoly(canvas, [to_pixels(outline_polygon(outline))], 255, shift=8)
    if outline == "ring":
        cv2.fillPoly(canvas, [to_pixels(outline_polygon("disk") * 0.45)], 0, shift=8)
    return cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


@lru_cache(maxsize=256)
def brightness(texture: str, side: int) -> np.ndarray:
    """Brightness of a texture, with its left half darkened: float32 [P, P] in 0..1."""
    fine = side * 2
    axis = ((np.arange(fine) + 0.5) / fine * 2 - 1) * EXTENT
    y, x = np.meshgrid(axis, axis, indexing="ij")
    if texture == "plain":
        value = np.ones_like(x)
    elif texture == "striped":
        value = np.where(np.floor((y + 2) / 0.3) % 2 == 0, 1.0, 0.65)
    elif texture == "checked":
        value = np.where((np.floor((x + 2) / 0.4) + np.floor((y + 2) / 0.4)) % 2 == 0, 1.0, 0.65)
    elif texture == "dotted":
        dx, dy = (x + 2) % 0.5 - 0.25, (y + 2) % 0.5 - 0.25
        value = np.where(dx * dx + dy * dy < 0.15**2, 0.55, 1.0)
    else:
        raise KeyError(texture)
    value = value * np.where(x < 0, DARK_HALF, 1.0)
    return cv2.resize(value.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)


def patch(outline: str, texture: str, color: tuple[float, float, float], side: int) -> np.ndarray:
    """Premultiplied colour and coverage of an object: float32 [P, P, 4]."""
    alpha = coverage(outline, side)
    out = np.empty((side, side, 4), np.float32)
    np.multiply((brightness(texture, side) * alpha)[..., None], np.asarray(color, np.float32), out=out[..., :3])
    out[..., 3] = alpha
    return out


def reach(outline: str, angle: float, axis: int) -> tuple[float, float]:
    """Least and greatest coordinate along `axis` (0 x, 1 y) of an outline of radius 1 turned by `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    points = outline_polygon(outline) @ np.array([[cos, sin], [-sin, cos]])
    return float(points[:, axis].min()), float(points[:, axis].max())
