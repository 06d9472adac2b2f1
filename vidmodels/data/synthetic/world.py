"""Scenes of the synthetic world: all parameters of a video, drawn from (seed, index) and nothing else.

T frames. Places and lengths are fractions of the frame's side, so that one scene can be rendered at any size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe.data import SyntheticSection
from vidmodels.data.synthetic.crowd import crowd_objects
from vidmodels.data.synthetic.figures import FIGURE_CLASSES, figure_track
from vidmodels.data.synthetic.motion import CLASSES, REVERSED, actor_track, rng_for
from vidmodels.data.synthetic.occlusion import occlusion_objects
from vidmodels.data.synthetic.parts import Background, Occluder, SceneObject
from vidmodels.data.synthetic.shapes import COLORS, OUTLINES, TEXTURES
from vidmodels.data.synthetic.sound import SOUND_SPLIT, SoundEvent, sample_events

GENERATOR_VERSION = 1
"""Raised whenever equal parameters would give other pixels or other truth: the cache is keyed by it."""
FPS = 8
SOUND_CLASSES = (
    *(name for name in CLASSES if name not in SOUND_SPLIT),
    *(f"{name}_{chirp}" for name in SOUND_SPLIT for chirp in ("rising", "falling")),
)


@dataclass(frozen=True)
class WorldSpec:
    """What kind of videos to make. Raises ConfigError for values that cannot work together.

    size: side in pixels, even; num_frames at 8 frames per second; hard: random polarity and full-contrast background;
    sound: a track of chirps, and 12 classes; actors: shapes with 10 motions or stick figures with 8 actions;
    setting: "actions"; or "crowd" with two or three actors, each with a motion of its own; or "occlusion" with two identical
    shapes of which one is fully hidden for `hidden_frames`.
    """

    size: int = 32
    num_frames: int = 16
    hard: bool = False
    sound: bool = False
    actors: Literal["shapes", "figures"] = "shapes"
    setting: Literal["actions", "occlusion", "crowd"] = "actions"
    hidden_frames: int | None = None

    def __post_init__(self) -> None:
        if self.size < 16 or self.size % 2:
            raise ConfigError(f"synthetic world: size {self.size} must be even and at least 16 (H.264 halves the colour)")
        if self.num_frames < 2:
            raise ConfigError(f"synthetic world: num_frames {self.num_frames} must be at least 2")
        if self.actors == "figures" and (self.sound or self.setting != "actions"):
            raise ConfigError("synthetic world: stick figures come without sound classes and only in setting 'actions'")
        if self.sound and self.setting != "actions":
            raise ConfigError("synthetic world: sound classes exist in setting 'actions' only; drop one of the two")
        if self.hidden_frames is not None and not 0 <= self.hidden_frames <= min(6, self.num_frames - 10):
            raise ConfigError(
                f"synthetic world: hidden_frames {self.hidden_frames} must lie in 0..6 and leave 10 of the "
                f"{self.num_frames} frames around the occlusion"
            )
        if self.setting == "occlusion" and self.num_frames < 16:
            raise ConfigError(f"synthetic world: setting 'occlusion' needs 16 frames or more, not {self.num_frames}")

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the videos' labels; None where they have none: identity or each actor's action is the question there."""
        if self.setting != "actions":
            return None
        return FIGURE_CLASSES if self.actors == "figures" else SOUND_CLASSES if self.sound else CLASSES

    @classmethod
    def of(cls, section: SyntheticSection, **options) -> WorldSpec:
        """Spec of a recipe's section, with further options of this class."""
        shaped = {"size": section.size, "num_frames": section.num_frames, "hard": section.hard, "sound": section.sound}
        return cls(**shaped | options)


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that determines a video and its truth. Objects are in drawing order, the actor last.

    label: index into `spec.classes`, or -1; motion: the visible class without its sound.
    """

    spec: WorldSpec
    seed: int
    index: int
    label: int
    motion: str
    background: Background
    objects: tuple[SceneObject, ...]
    occluders: tuple[Occluder, ...] = ()
    events: tuple[SoundEvent, ...] = ()
    meta: dict = field(default_factory=dict)

    @property
    def actor(self) -> SceneObject:
        return self.objects[-1]

    @property
    def class_name(self) -> str:
        return self.spec.classes[self.label] if self.spec.classes else ""

    @property
    def duration(self) -> float:
        return self.spec.num_frames / FPS

    def digest(self) -> str:
        """SHA-256 over every parameter: equal scenes have equal digests."""

        def plain(value):
            if isinstance(value, np.ndarray):
                return [str(value.dtype), list(value.shape), value.tobytes().hex()]
            raise TypeError(type(value))

        return hashlib.sha256(json.dumps(dataclasses.asdict(self), default=plain, sort_keys=True).encode()).hexdigest()


def label_of(seed: int, index: int, num_classes: int) -> int:
    """Label of a video: each run of `num_classes` videos holds every class once, in random order."""
    block, place = divmod(index, num_classes)
    return int(rng_for(seed, 1, num_classes, block).permutation(num_classes)[place])


def sample_scene(seed: int, index: int, spec: WorldSpec | None = None) -> Scene:
    """Draw video number `index` of the world `seed`."""
    spec = spec or WorldSpec()
    rng = rng_for(seed, 2, index)
    background = _background(spec, rng)
    if spec.setting == "occlusion":
        objects, occluders, meta = occlusion_objects(seed, index, spec.num_frames, spec.hidden_frames, rng)
        return Scene(spec, seed, index, -1, "pass", background, objects, occluders, (), meta)
    if spec.setting == "crowd":
        actors, about = crowd_objects(spec.num_frames, rng, lambda: _look(spec, rng))
        return Scene(spec, seed, index, -1, about["motions"][-1], background, actors, meta=about)
    assert spec.classes is not None
    label = label_of(seed, index, len(spec.classes))
    name = spec.classes[label]
    motion, chirp = name, None
    if spec.sound:
        motion, _, suffix = name.partition("_")
        chirp = suffix or None
    actor = _actor(motion, spec, rng)
    distractors = _distractors(spec, rng)
    actor = dataclasses.replace(actor, id=len(distractors) + 1)
    occluders = (_bar(rng),) if rng.random() < 0.2 else ()
    # A generator of its own: the picture of a video is the same with sound and without.
    events = sample_events(spec.num_frames / FPS, chirp, rng_for(seed, 3, index)) if spec.sound else ()
    return Scene(spec, seed, index, label, motion, background, (*distractors, actor), occluders, events)


def reverse(scene: Scene) -> Scene:
    """The scene played backwards, with the label that this makes (its sound is left as it is)."""
    motion = REVERSED.get(scene.motion, scene.motion)
    label = scene.label
    if scene.spec.classes and motion != scene.motion:
        label = scene.spec.classes.index(motion)
    return dataclasses.replace(
        scene,
        label=label,
        motion=motion,
        background=dataclasses.replace(scene.background, offsets=scene.background.offsets[::-1].copy()),
        objects=tuple(
            dataclasses.replace(o, pose=o.pose[::-1].copy(), joints=None if o.joints is None else o.joints[::-1].copy())
            for o in scene.objects
        ),
    )


def _background(spec: WorldSpec, rng: np.random.Generator) -> Background:
    """Smooth noise that drifts in a random direction in every class, so that "something moves" says nothing."""
    speed, way = rng.uniform(0, 0.4 / 64), rng.uniform(0, 2 * np.pi)
    steps = np.arange(spec.num_frames)[:, None] - (spec.num_frames - 1) / 2
    offsets = steps * speed * np.array([np.cos(way), np.sin(way)])
    low, high = (0.1, 0.9) if spec.hard else (0.1, 0.3)
    return Background(int(rng.integers(2**31)), low, high, tuple(rng.uniform(0.75, 1.0, 3).tolist()), offsets)


def _look(spec: WorldSpec, rng: np.random.Generator) -> dict:
    """Random outline, texture and colour; bright unless `hard`, because a mixed sign of contrast stops learning."""
    name = str(rng.choice(list(COLORS)))
    color = np.asarray(COLORS[name]) * rng.uniform(0.8, 1.0)
    polarity = rng.random() < 0.5
    if spec.hard and polarity:
        color = 1.0 - color
    elif not spec.hard:
        color = color.clip(0.45, 1.0)
    return {
        "outline": str(rng.choice(OUTLINES)),
        "texture": str(rng.choice(TEXTURES)),
        "color_name": name,
        "color": tuple(color.tolist()),
    }


def _actor(motion: str, spec: WorldSpec, rng: np.random.Generator) -> SceneObject:
    look = _look(spec, rng)
    if spec.actors == "figures":
        pose, joints = figure_track(motion, spec.num_frames, rng)
        look |= {"outline": "figure", "texture": "plain"}
        return SceneObject(id=1, role="actor", pose=pose, joints=joints, **look)
    return SceneObject(id=1, role="actor", pose=actor_track(motion, spec.num_frames, rng, spec.hard), **look)


def _distractors(spec: WorldSpec, rng: np.random.Generator) -> list[SceneObject]:
    """0 to 2 motionless shapes. They keep away from each other and from the centre so that they can be counted."""
    out: list[SceneObject] = []
    for number in range(int(rng.integers(3))):
        places = rng.uniform(0.08, 0.92, (12, 2))
        taken = np.array([(0.5, 0.5), *(o.pose[0, :2] for o in out)])
        gaps = np.linalg.norm(places[:, None] - taken, axis=-1).min(axis=1)
        place = places[int(np.argmax(gaps > 0.35))] if (gaps > 0.35).any() else places[int(gaps.argmax())]
        size = 0.9 * (rng.uniform(0.13, 0.20) if spec.hard else rng.uniform(0.18, 0.26))
        pose = np.tile([*place, rng.uniform(0, 2 * np.pi), size], (spec.num_frames, 1))
        out.append(SceneObject(id=number + 1, role="distractor", pose=pose, **_look(spec, rng)))
    return out


def _bar(rng: np.random.Generator) -> Occluder:
    """A motionless bar over everything, upright or flat."""
    centre, half = rng.uniform(0.25, 0.75), rng.uniform(0.05, 0.09)
    span = (centre - half, -0.01, centre + half, 1.01)
    box = span if rng.random() < 0.5 else (span[1], span[0], span[3], span[2])
    return Occluder(box, tuple((rng.uniform(0.3, 0.5) * rng.uniform(0.85, 1.0, 3)).tolist()))
