"""Several actors in one video, each with a motion of its own in its quarter of the frame, and their boxes.

T frames. Lengths are fractions of the frame's side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vidmodels.data.synthetic.motion import CLASSES, actor_track
from vidmodels.data.synthetic.parts import SceneObject

if TYPE_CHECKING:
    from collections.abc import Callable

    from vidmodels.data.synthetic.world import Scene

QUARTERS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
SCALE = 0.5
"""Size of an actor and of its path against those of an actor that has the whole frame."""
JITTER = 0.03
LEAST_SHARE = 1 / 16
"""Of the frame's side: an actor of which less is seen, at the edge or behind another, has no box."""


def crowd_objects(
    num_frames: int, rng: np.random.Generator, look: Callable[[], dict]
) -> tuple[tuple[SceneObject, ...], dict[str, list[str]]]:
    """Two or three actors in quarters of their own, and their motions by name; a free quarter may hold a still shape.

    Actors come last. look: draws outline, texture and colour of an object.
    """
    count = int(rng.integers(2, 4))
    places = [np.array(QUARTERS[i]) + rng.uniform(-JITTER, JITTER, 2) for i in rng.permutation(len(QUARTERS))]
    names = [str(name) for name in rng.choice(CLASSES, count)]
    actors = []
    for name, place in zip(names, places):
        pose = actor_track(name, num_frames, rng)
        pose = np.concatenate([place + SCALE * (pose[:, :2] - 0.5), pose[:, 2:3], SCALE * pose[:, 3:]], axis=1)
        actors.append(SceneObject(id=0, role="actor", pose=pose, **look()))
    still = []
    if rng.random() < 0.5:
        pose = np.tile([*places[count], rng.uniform(0, 2 * np.pi), SCALE * rng.uniform(0.18, 0.26)], (num_frames, 1))
        still.append(SceneObject(id=0, role="distractor", pose=pose, **look()))
    objects = tuple(replace(item, id=number + 1) for number, item in enumerate((*still, *actors)))
    return objects, {"motions": names}


def key_time(num_frames: int, fps: int) -> float:
    """The time in seconds of the key frame of a video: the middle of what its middle frame lasts."""
    return (num_frames // 2 + 0.5) / fps


def crowd_boxes(scene: Scene, video: str, time: float) -> list[dict[str, Any]]:
    """A row of a file of boxes for each actor that is well seen in the key frame: its box in pixels and its motion."""
    from vidmodels.data.synthetic.render import layers_at
    from vidmodels.data.synthetic.truth import boxes_of, masks_of

    _, visible = masks_of(scene, [layers_at(scene, scene.spec.num_frames // 2)])
    boxes = boxes_of(visible[0])
    actors = [number for number, item in enumerate(scene.objects) if item.role == "actor"]
    rows = []
    for number, name in zip(actors, scene.meta["motions"]):
        x1, y1, x2, y2 = boxes[number].tolist()
        if min(x2 - x1, y2 - y1) >= LEAST_SHARE * scene.spec.size:
            box = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
            rows.append({"video": video, "time": time, **box, "label": name, "person": str(scene.objects[number].id)})
    return rows
