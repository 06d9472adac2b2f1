"""The pictures and tables of a detector of actions: precision of each class, and key frames with boxes and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidmodels.visual.canvas import fit, spread

if TYPE_CHECKING:
    from vidmodels.data.boxed_reader import WholeFrameReader
    from vidmodels.training.action_evaluation import ActionEvaluation

SHOWN = 6
SIDE = 640
TOP = 2


def save_precision(result: ActionEvaluation, folder: Path, title: str = "Average precision") -> list[Path]:
    """`per_class.csv` and `average_precision.png`."""
    from vidmodels.metrics.classification import save_rows
    from vidmodels.visual.precision import save_average_precision

    rows = result.per_class
    names, values, supports = zip(*((row.name, row.average_precision, row.support) for row in rows))
    return [
        save_rows(rows, folder / "per_class.csv"),
        save_average_precision(names, values, supports, folder / "average_precision.png", title),
    ]


def save_key_frames(model: Any, reader: WholeFrameReader, classes: Sequence[str], folder: Path) -> Path | None:
    """`key_frames.png`: some key frames with the boxes, what is true of each and what the model says."""
    from vidmodels.tasks.action_results import save_sheet
    from vidmodels.training.action_evaluation import score_key_frames

    chosen = spread(len(reader.manifest), SHOWN)
    device = next(model.parameters()).device
    found = score_key_frames(model, reader, chosen, device=device)
    drawn = {index: _drawn(reader, index, found.scores[index], classes) for index in chosen if index in found.scores}
    if not drawn:
        return None
    # one sheet has frames of one size
    shape = next(iter(drawn.values())).shape
    same = {index: picture for index, picture in drawn.items() if picture.shape == shape}
    times = [reader.manifest.boxes.frames[index][1] for index in same]
    return save_sheet(np.stack(list(same.values())), times, folder / "key_frames.png", 3)


def _drawn(reader: WholeFrameReader, index: int, scores: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """One key frame, enlarged, with a tag at each box: the true actions above the best answers."""
    from vidmodels.visual.boxes import TaggedBox, draw_boxes

    row, truth = reader.read(index), reader.manifest.boxes.row(index).boxes
    frame = row["clips"][0, reader.clip.num_frames // 2]
    picture = fit(frame[None], SIDE)[0]
    scale = picture.shape[1] / frame.shape[1]
    tags = []
    for place, (box, answer) in enumerate(zip(row["boxes"], scores)):
        best = np.argsort(-answer, kind="stable")[:TOP]
        title = ", ".join(classes[k] for k in truth.labels[place]) or f"{place + 1}"
        tags.append(TaggedBox(box[1:] * scale, place + 1, title, tuple((classes[k], float(answer[k])) for k in best)))
    return draw_boxes(picture, tags)
