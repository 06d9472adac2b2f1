"""A picture of the synthetic world: a row for each class, time from left to right, truth drawn over it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vidmodels.core.errors import DataError
from vidmodels.core.recipe.data import SyntheticSection
from vidmodels.data.synthetic.cache import synthetic_scene
from vidmodels.data.synthetic.figures import LIMBS, with_helpers
from vidmodels.data.synthetic.render import Rendered, render
from vidmodels.data.synthetic.world import WorldSpec

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_ACTOR, _OTHER, _HIDDEN = (255, 220, 40), (150, 160, 170), (70, 130, 255)
_GAP, _TITLE = 4, 34
_CELL = 112


def contact_sheet(
    section: SyntheticSection,
    path: str | Path,
    *,
    spec: WorldSpec | None = None,
    columns: int = 8,
    rows: int | None = None,
    truth: bool = True,
) -> Path:
    """Write a PNG of the training split's first videos, one of each class in the order of the classes.

    Visible boxes are yellow (actor) or grey, boxes of what is hidden blue; joints of figures are dots, hollow where not
    visible. rows: number of videos, default one of each class (or 6 without classes). Returns `path`.
    Raises DataError when the picture cannot be written.
    """
    spec = spec or WorldSpec.of(section)
    count = rows or (len(spec.classes) if spec.classes else 6)
    scenes = sorted((synthetic_scene(section, "train", i, spec) for i in range(count)), key=lambda s: s.label)
    strips = []
    for scene in scenes:
        rendered = render(scene)
        times = np.linspace(0, spec.num_frames - 1, min(columns, spec.num_frames)).round().astype(int)
        strips.append(_strip(rendered, times, truth))
    sheet = np.concatenate(strips)
    ok, png = cv2.imencode(".png", sheet[..., ::-1])
    try:
        Path(path).write_bytes(png.tobytes())
    except OSError as error:
        raise DataError(f"cannot write the contact sheet {path} ({error}); choose a folder that can be written") from error
    assert ok
    return Path(path)


def _strip(rendered: Rendered, times: np.ndarray, truth: bool) -> np.ndarray:
    """One video: its title and caption over its frames, uint8 [h, w, 3]."""
    cells = [_cell(rendered, int(t), truth) for t in times]
    side = cells[0].shape[0]
    width = len(cells) * (side + _GAP) + _GAP
    out = np.full((_TITLE + side + _GAP, width, 3), 28, np.uint8)
    for number, cell in enumerate(cells):
        x = _GAP + number * (side + _GAP)
        out[_TITLE : _TITLE + side, x : x + side] = cell
    facts = rendered.truth
    cv2.putText(out, facts.class_name or "no class", (_GAP, 14), _FONT, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    cv2.putText(out, facts.captions[-1], (_GAP, 28), _FONT, 0.36, (180, 190, 200), 1, cv2.LINE_AA)
    if facts.questions:
        asked = f"{facts.questions[0].question} {facts.questions[0].answer}"
        cv2.putText(out, asked, (140, 14), _FONT, 0.36, (140, 200, 160), 1, cv2.LINE_AA)
    return out


def _cell(rendered: Rendered, t: int, truth: bool) -> np.ndarray:
    """One frame, enlarged by a whole factor so that its pixels stay pixels, with its truth."""
    frame, facts = rendered.frames[t], rendered.truth
    zoom = max(_CELL // frame.shape[0], 1)
    cell = np.ascontiguousarray(frame.repeat(zoom, 0).repeat(zoom, 1))
    if not truth:
        return cell
    last = len(facts.ids) - 1
    for n in range(len(facts.ids)):
        seen = facts.visibility[t, n] > 0
        box = (facts.boxes if seen else facts.amodal_boxes)[t, n] * zoom
        if box[2] > box[0]:
            color = _HIDDEN if not seen else _ACTOR if n == last else _OTHER
            x0, y0, x1, y1 = box.astype(int).tolist()
            cv2.rectangle(cell, (x0, y0), (x1 - 1, y1 - 1), color, 1)
            cv2.putText(cell, str(facts.ids[n]), (x0 + 2, y0 + 10), _FONT, 0.3, color, 1, cv2.LINE_AA)
    if facts.keypoints is not None:
        _joints(cell, facts.keypoints[t, last], zoom)
    return cell


def _joints(cell: np.ndarray, joints: np.ndarray, zoom: int) -> None:
    points = ((with_helpers(joints[:, :2]) + 0.5) * zoom).round().astype(int)
    for a, b in LIMBS:
        cv2.line(cell, points[a].tolist(), points[b].tolist(), (90, 90, 200), 1, cv2.LINE_AA)
    for number, point in enumerate(points[: len(joints)]):
        color = (255, 80, 80) if number % 2 else (80, 220, 255)
        cv2.circle(cell, point.tolist(), 2, color, -1 if joints[number, 2] else 1, cv2.LINE_AA)
