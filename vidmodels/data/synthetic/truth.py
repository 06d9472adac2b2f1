"""What is true of a rendered video: boxes, masks, identities, visibility, flow, joints, sound, language.

T frames, N objects (in drawing order), H = W = size. Boxes are xyxy in pixels, ends excluded: the box of one pixel at
column 3, row 5 is (3, 5, 4, 6).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidmodels.data.synthetic.figures import LIMBS, with_helpers
from vidmodels.data.synthetic.sound import SoundEvent

if TYPE_CHECKING:
    from vidmodels.data.synthetic.language import Question
    from vidmodels.data.synthetic.render import Layer
    from vidmodels.data.synthetic.world import Scene


@dataclass
class Truth:
    """Exact truth of one video.

    label: class or -1; ids: int64 [N], the same object has the same id in all frames, through full occlusion too;
    categories: outline of each object; amodal, visible: bool [T, N, H, W], before and after occlusion;
    boxes: float32 [T, N, 4] around the visible masks, zeros where nothing is visible; amodal_boxes: around the amodal
    masks; visibility: float32 [T, N], visible share of the part inside the frame (0 out of the frame);
    flow: float32 [T-1, H, W, 2], where the content of each pixel of frame t is in frame t+1 (dx, dy);
    keypoints: float32 [T, N, 13, 3] (x, y in pixels, 1 if visible) in videos of figures, else None.
    """

    label: int
    class_name: str
    ids: np.ndarray
    categories: tuple[str, ...]
    amodal: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray
    amodal_boxes: np.ndarray
    visibility: np.ndarray
    flow: np.ndarray
    keypoints: np.ndarray | None
    sound_events: tuple[SoundEvent, ...]
    captions: tuple[str, ...]
    questions: tuple[Question, ...]


def truth_of(scene: Scene, layers: list[list[Layer | None]]) -> Truth:
    """Gather the truth of a drawn scene from its layers."""
    from vidmodels.data.synthetic.language import captions, questions

    amodal, visible = masks_of(scene, layers)
    counts, seen = amodal.sum((2, 3)), visible.sum((2, 3))
    return Truth(
        label=scene.label,
        class_name=scene.class_name,
        ids=np.array([o.id for o in scene.objects], np.int64),
        categories=tuple(o.outline for o in scene.objects),
        amodal=amodal,
        visible=visible,
        boxes=boxes_of(visible),
        amodal_boxes=boxes_of(amodal),
        visibility=(seen / np.maximum(counts, 1)).astype(np.float32),
        flow=_flow(scene, visible),
        keypoints=_keypoints(scene, visible),
        sound_events=scene.events,
        # sentences are about one actor
        captions=() if scene.spec.setting == "crowd" else captions(scene),
        questions=() if scene.spec.setting == "crowd" else questions(scene),
    )


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """Boxes float32 [..., 4] around masks bool [..., H, W]; zeros for empty masks."""
    columns, rows = np.asarray(masks.any(-2)), np.asarray(masks.any(-1))
    x0, y0 = columns.argmax(-1), rows.argmax(-1)
    x1 = columns.shape[-1] - columns[..., ::-1].argmax(-1)
    y1 = rows.shape[-1] - rows[..., ::-1].argmax(-1)
    boxes = np.stack([x0, y0, x1, y1], -1).astype(np.float32)
    return boxes * np.asarray(columns.any(-1))[..., None]


def masks_of(scene: Scene, layers: list[list[Layer | None]]) -> tuple[np.ndarray, np.ndarray]:
    """Amodal and visible masks bool [T, N, H, W] of the frames that the layers belong to."""
    from vidmodels.data.synthetic.render import occluder_pixels

    size, count = scene.spec.size, len(scene.objects)
    amodal = np.zeros((len(layers), count, size, size), bool)
    for t, row in enumerate(layers):
        for n, layer in enumerate(row):
            if layer is not None:
                height, width = layer.rgba.shape[:2]
                amodal[t, n, layer.y0 : layer.y0 + height, layer.x0 : layer.x0 + width] = layer.rgba[..., 3] > 0.5
    visible = amodal.copy()
    for n in range(count - 1):
        visible[:, n] &= ~amodal[:, n + 1 :].any(1)
    for occluder in scene.occluders:
        if occluder.over:
            x0, y0, x1, y1 = occluder_pixels(occluder.box, size)
            visible[:, :, y0:y1, x0:x1] = False
    return amodal, visible


def _flow(scene: Scene, visible: np.ndarray) -> np.ndarray:
    from vidmodels.data.synthetic.render import affine, draw_figure, occluder_pixels

    size, frames = scene.spec.size, scene.spec.num_frames
    flow = np.empty((frames - 1, size, size, 2), np.float32)
    for t in range(frames - 1):
        # The window moves by the offset, hence the content by its negative.
        flow[t] = -(scene.background.offsets[t + 1] - scene.background.offsets[t]) * size
        for occluder in scene.occluders:
            x0, y0, x1, y1 = occluder_pixels(occluder.box, size)
            flow[t, y0:y1, x0:x1] = 0
        for n, item in enumerate(scene.objects):
            rows, columns = np.nonzero(visible[t, n])
            if not len(rows):
                continue
            if item.joints is None:
                step = _from_to(affine(item.pose[t], size), affine(item.pose[t + 1], size))
                flow[t, rows, columns] = _displacement(step, rows, columns)
                continue
            layer, limbs = draw_figure(item, t, size)
            assert layer is not None
            at = limbs[rows - layer.y0, columns - layer.x0]
            now, then = (with_helpers(item.joints[s]) * size - 0.5 for s in (t, t + 1))
            for limb in np.unique(at):
                chosen = at == limb
                # A pixel mostly covered whose centre is just outside every limb goes with the trunk.
                a, b = LIMBS[max(int(limb), 0)]
                step = _from_to(_limb_frame(now[a], now[b]), _limb_frame(then[a], then[b]))
                flow[t, rows[chosen], columns[chosen]] = _displacement(step, rows[chosen], columns[chosen])
    return flow


def _limb_frame(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Map [2, 3] of a limb: origin at its start, first axis along it."""
    (dx, dy), (x, y) = end - start, start
    return np.array([[dx, -dy, x], [dy, dx, y]])


def _from_to(now: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Map [2, 3] of frame t's pixels to frame t+1's, from the two maps of one object."""
    square = np.vstack([now, [0, 0, 1]])
    return then @ np.linalg.inv(square)


def _displacement(step: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    points = np.stack([columns, rows], -1).astype(np.float64)
    return points @ step[:, :2].T + step[:, 2] - points


def _keypoints(scene: Scene, visible: np.ndarray) -> np.ndarray | None:
    """Joints in pixels. A joint is visible when the figure is what is seen at its place (itself may cover it)."""
    size = scene.spec.size
    if scene.spec.actors != "figures":
        return None
    out = np.zeros((scene.spec.num_frames, len(scene.objects), 13, 3), np.float32)
    for n, item in enumerate(scene.objects):
        if item.joints is None:
            continue
        out[:, n, :, :2] = item.joints * size - 0.5
        column, row = (np.round(out[:, n, :, axis]).astype(int) for axis in (0, 1))
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        column, row = column.clip(0, size - 1), row.clip(0, size - 1)
        out[:, n, :, 2] = inside & visible[np.arange(len(out))[:, None], n, row, column]
    return out
