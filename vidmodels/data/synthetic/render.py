"""Drawing of scenes: frames, and (asked for) the masks and flow that only the drawing knows.

T frames, H = W = size, N objects, P side of a patch. Pixel centres lie at whole coordinates: a place x in fractions
of the side is pixel x * size - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidmodels.data.synthetic.figures import HEAD_RADIUS, LIMB_BRIGHTNESS, LIMB_WIDTH, LIMBS, with_helpers
from vidmodels.data.synthetic.motion import rng_for
from vidmodels.data.synthetic.parts import Background, SceneObject
from vidmodels.data.synthetic.shapes import EXTENT, patch
from vidmodels.data.synthetic.truth import Truth, truth_of
from vidmodels.data.synthetic.world import Scene

_FIGURE_SUPERSAMPLING = 4
_OCTAVES = ((4, 1.0), (8, 0.5), (16, 0.25))


@dataclass
class Rendered:
    """A drawn scene: frames uint8 [T, H, W, 3] (RGB), its truth, and the waveform float32 [S] or None."""

    frames: np.ndarray
    truth: Truth
    audio: np.ndarray | None = None


@dataclass
class Layer:
    """One object in one frame: premultiplied colour and coverage [h, w, 4] at row y0 and column x0."""

    x0: int
    y0: int
    rgba: np.ndarray


def render(scene: Scene) -> Rendered:
    """Draw a scene with all of its truth; deterministic."""
    from vidmodels.data.synthetic.sound import synthesize

    frames, layers = draw(scene)
    audio = None
    if scene.spec.sound:
        audio = synthesize(scene.events, scene.duration, rng_for(scene.seed, 4, scene.index))
    return Rendered(frames, truth_of(scene, layers), audio)


def draw(scene: Scene) -> tuple[np.ndarray, list[list[Layer | None]]]:
    """Frames uint8 [T, H, W, 3] and the layer of each object in each frame ([T][N], None where out of the frame)."""
    threads = cv2.getNumThreads()
    # Frames are too small to be worth handing to threads, and several processes render side by side.
    cv2.setNumThreads(0)
    try:
        return _draw(scene)
    finally:
        cv2.setNumThreads(threads)


def _draw(scene: Scene) -> tuple[np.ndarray, list[list[Layer | None]]]:
    spec = scene.spec
    size = spec.size
    backdrop, margin = background_image(scene.background, size)
    drawers = [_drawer(o, size) for o in scene.objects]
    frames = np.empty((spec.num_frames, size, size, 3), np.uint8)
    layers: list[list[Layer | None]] = []
    for t in range(spec.num_frames):
        dx, dy = scene.background.offsets[t] * size + margin
        shift = np.array([[1, 0, dx], [0, 1, dy]])
        canvas = cv2.warpAffine(backdrop, shift, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        for occluder in scene.occluders:
            if not occluder.over:
                _fill(canvas, occluder.box, occluder.color)
        row = []
        for drawer in drawers:
            layer = drawer(t)
            row.append(layer)
            if layer is not None:
                height, width = layer.rgba.shape[:2]
                region = canvas[layer.y0 : layer.y0 + height, layer.x0 : layer.x0 + width]
                region *= 1 - layer.rgba[..., 3:]
                region += layer.rgba[..., :3]
        for occluder in scene.occluders:
            if occluder.over:
                _fill(canvas, occluder.box, occluder.color)
        layers.append(row)
        cv2.convertScaleAbs(canvas, dst=frames[t], alpha=255.0)
    return frames, layers


def layers_at(scene: Scene, frame: int) -> list[Layer | None]:
    """The layer of each object in one frame, None where it is out of the frame."""
    return [_drawer(item, scene.spec.size)(frame) for item in scene.objects]


def occluder_pixels(box: tuple[float, ...], size: int) -> tuple[int, int, int, int]:
    """Columns and rows (x0, y0, x1, y1) that a box covers, ends excluded."""
    x0, y0, x1, y1 = (int(np.clip(round(v * size), 0, size)) for v in box)
    return x0, y0, x1, y1


def _fill(canvas: np.ndarray, box: tuple[float, ...], color: tuple[float, ...]) -> None:
    x0, y0, x1, y1 = occluder_pixels(box, canvas.shape[0])
    canvas[y0:y1, x0:x1] = color


def background_image(background: Background, size: int) -> tuple[np.ndarray, float]:
    """Smooth noise float32 [h, w, 3], larger than the frame by the drift, and the margin in pixels."""
    margin = float(np.ceil(np.abs(background.offsets).max() * size)) + 2
    side = int(size + 2 * margin)
    rng = rng_for(background.noise_seed, 0)
    noise = np.zeros((side, side), np.float32)
    for cells, weight in _OCTAVES:
        grid = rng.random((cells, cells), np.float32)
        noise += weight * cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
    noise -= noise.min()
    noise *= (background.high - background.low) / max(float(noise.max()), 1e-6)
    noise += background.low
    return noise[..., None] * np.asarray(background.tint, np.float32), margin


def affine(pose: np.ndarray, size: int) -> np.ndarray:
    """Map [2, 3] from an object's own units (radius 1) to pixels of the frame."""
    x, y, angle, radius = pose
    cos, sin = np.cos(angle) * radius * size, np.sin(angle) * radius * size
    return np.array([[cos, -sin, x * size - 0.5], [sin, cos, y * size - 0.5]])


def _drawer(item: SceneObject, size: int):
    """Function from a frame's number to the object's layer; what does not move is drawn once."""
    if item.joints is not None:
        return lambda t: draw_figure(item, t, size)[0]
    largest = float(item.pose[:, 3].max()) * size
    # A patch as fine as the object at its largest: much finer would alias under bilinear sampling.
    side = int(np.clip(2 * np.ceil(largest * EXTENT), 8, 256))
    red, green, blue = item.color
    source = patch(item.outline, item.texture, (red, green, blue), side)
    to_patch = np.array([[side / (2 * EXTENT), 0, side / 2 - 0.5], [0, side / (2 * EXTENT), side / 2 - 0.5], [0, 0, 1]])
    from_patch = np.linalg.inv(to_patch)

    def layer(t: int) -> Layer | None:
        x, y, _, radius = item.pose[t]
        around = radius * EXTENT * 1.42 + 1 / size
        x0, y0, x1, y1 = _clip_box((x - around) * size, (y - around) * size, (x + around) * size, (y + around) * size, size)
        if x0 >= x1 or y0 >= y1:
            return None
        matrix = affine(item.pose[t], size) @ from_patch
        matrix[:, 2] -= (x0, y0)
        return Layer(x0, y0, cv2.warpAffine(source, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR))

    if item.is_still:
        fixed = layer(0)
        return lambda t: fixed
    return layer


def _clip_box(x0: float, y0: float, x1: float, y1: float, size: int) -> tuple[int, int, int, int]:
    return max(int(x0), 0), max(int(y0), 0), min(int(np.ceil(x1)), size), min(int(np.ceil(y1)), size)


def draw_figure(item: SceneObject, t: int, size: int) -> tuple[Layer | None, np.ndarray]:
    """Layer of a figure in frame t, and the limb's number at each of its pixels (int16 [h, w], -1 outside)."""
    assert item.joints is not None
    points = with_helpers(item.joints[t])
    height = float(item.pose[t, 3]) * 2
    reach = 0.12 * height
    low, high = points.min(0) - reach, points.max(0) + reach
    x0, y0, x1, y1 = _clip_box(low[0] * size, low[1] * size, high[0] * size, high[1] * size, size)
    if x0 >= x1 or y0 >= y1:
        return None, np.empty((0, 0), np.int16)
    fine = _FIGURE_SUPERSAMPLING
    labels = np.zeros(((y1 - y0) * fine, (x1 - x0) * fine), np.uint8)
    at = np.round(((points * size - (x0, y0)) * fine - 0.5) * 16).astype(int)
    for number, (a, b) in enumerate(LIMBS):
        # At 32 px a limb would be thinner than a pixel and vanish in the video's compression.
        width = max(LIMB_WIDTH[number] * height * size, 1.5) * fine
        cv2.line(labels, at[a].tolist(), at[b].tolist(), number + 1, max(round(width), 1), cv2.LINE_8, 4)
        if number == 3:
            cv2.circle(labels, at[0].tolist(), round(HEAD_RADIUS * height * size * fine * 16), number + 1, -1, cv2.LINE_8, 4)
    light = np.array([0.0, *LIMB_BRIGHTNESS], np.float32)
    light[4] = 0.9
    shaded = cv2.resize(light[labels], (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    alpha = cv2.resize((labels > 0).astype(np.float32), (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    rgba = np.concatenate([shaded[..., None] * np.asarray(item.color, np.float32), alpha[..., None]], -1)
    return Layer(x0, y0, rgba), labels[fine // 2 :: fine, fine // 2 :: fine].astype(np.int16) - 1
