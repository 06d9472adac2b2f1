"""Captions and questions from a scene's own graph, balanced so that the question alone says nothing of the answer.

Yes/no questions name the true property as often as a wrong one; open questions ask for properties that are drawn
uniformly. Wrong motions are the true one played backwards where that exists, so that one frame does not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vidmodels.data.synthetic.motion import CLASSES, REVERSED, rng_for
from vidmodels.data.synthetic.shapes import COLORS, OUTLINES

if TYPE_CHECKING:
    from vidmodels.data.synthetic.world import Scene

PHRASES = {
    "left": "moves to the left",
    "right": "moves to the right",
    "up": "moves up",
    "down": "moves down",
    "cw": "turns clockwise",
    "ccw": "turns counterclockwise",
    "grow": "grows",
    "shrink": "shrinks",
    "oscillate": "swings back and forth",
    "circle": "runs in circles",
    "raise": "raises both arms",
    "lower": "lowers both arms",
    "crouch": "crouches down",
    "stand": "stands up",
    "lean_left": "leans over to the left",
    "lean_right": "leans over to the right",
    "wave": "waves one arm",
    "walk": "walks on the spot",
    "pass": "passes behind a bar",
}
_PARTNER = REVERSED | {"oscillate": "circle", "circle": "oscillate", "wave": "walk", "walk": "wave"}
# What the start and the end of a video differ in, and whether it holds at the start.
_ORDER = {
    "left": ("further to the left", "end"),
    "right": ("further to the left", "start"),
    "up": ("higher", "end"),
    "down": ("higher", "start"),
    "grow": ("larger", "end"),
    "shrink": ("larger", "start"),
}


@dataclass(frozen=True)
class Question:
    """A question, its answer, and the kind: motion, outline, color, count, order or sound."""

    kind: str
    question: str
    answer: str


def captions(scene: Scene) -> tuple[str, ...]:
    """Two sentences, a short one and one with the surroundings."""
    if scene.motion == "pass":
        item = scene.actor
        hidden = "passes behind a bar" if scene.meta["hidden_frames"] else "passes in front of a bar"
        return (f"{_name(item, 'one')} {hidden}.", f"One of two {item.color_name} {item.outline}s {hidden}.")
    subject = _name(scene.actor, "a")
    short = f"{subject} {PHRASES[scene.motion]}."
    still = [_name(o, "a") for o in scene.objects[:-1]]
    parts = [short[:-1]]
    if still:
        parts.append(f"{' and '.join(still)} {'stands' if len(still) == 1 else 'stand'} still")
    if scene.occluders:
        parts.append("a bar covers part of the view")
    if scene.events:
        parts.append(f"{len(scene.events)} {scene.events[0].kind} tones are heard")
    return tuple(_sentence(text) for text in (short, "; ".join(parts) + "."))


def questions(scene: Scene) -> tuple[Question, ...]:
    """Questions about a scene of actions; none in the occlusion setting."""
    if scene.motion == "pass":
        return ()
    rng = rng_for(scene.seed, 5, scene.index)
    who = "figure" if scene.spec.actors == "figures" else "moving shape"
    out = [_motion_question(scene, who)]
    if scene.spec.actors == "shapes":
        out.append(Question("outline", "What outline has the moving shape?", scene.actor.outline))
        out.append(_choice("outline", "Is the moving shape a {}?", scene.actor.outline, OUTLINES, rng))
        out.append(Question("motion", "What does the moving shape do?", PHRASES[scene.motion]))
    out.append(_choice("color", f"Is the {who} {{}}?", scene.actor.color_name, tuple(COLORS), rng))
    out.append(Question("count", "How many shapes stand still?", str(len(scene.objects) - 1)))
    if scene.motion in _ORDER:
        what, answer = _ORDER[scene.motion]
        out.append(Question("order", f"Is the {who} {what} at the start or at the end?", answer))
    if scene.events:
        out.append(Question("sound", "Do the tones rise or fall?", "rise" if scene.events[0].kind == "rising" else "fall"))
        first, last = (event.first_hz + event.last_hz for event in (scene.events[0], scene.events[-1]))
        out.append(Question("sound", "Which tone is higher, the first or the last?", "first" if first > last else "last"))
    return tuple(out)


def _motion_question(scene: Scene, who: str) -> Question:
    """Yes/no on the motion; of the two videos of a class in each pair of blocks, one asks right and one wrong."""
    names = sorted({m.removesuffix("_rising").removesuffix("_falling") for m in scene.spec.classes or CLASSES})
    block = scene.index // len(scene.spec.classes or CLASSES)
    coin = int(rng_for(scene.seed, 6, block // 2).integers(2, size=len(names))[names.index(scene.motion)])
    true = (block + coin) % 2 == 0
    asked = scene.motion if true else _PARTNER[scene.motion]
    return Question("motion", f"True or false: the {who} {PHRASES[asked]}.", "true" if true else "false")


def _choice(kind: str, text: str, true: str, choices: tuple[str, ...], rng: np.random.Generator) -> Question:
    """Yes/no question that names `true` in half of the cases and any other choice, equally likely, in the rest."""
    yes = rng.random() < 0.5
    others = [c for c in choices if c != true]
    asked = true if yes else others[int(rng.integers(len(others)))]
    return Question(kind, text.format(asked), "yes" if yes else "no")


def _name(item, article: str) -> str:
    texture = "" if item.texture == "plain" else f"{item.texture} "
    return f"{article} {item.color_name} {texture}{item.outline}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
