"""What searches find: the network of an expansion against one whose axes were all scaled alike, a sweep over masking."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.behaviour.rows import Row
from tests.behaviour.runs import Lab
from vidmodels import zoo
from vidmodels.core.recipe import WHOLE_VIDEO, ClassifyRecipe
from vidmodels.systems.x3d.card import ENTRIES
from vidmodels.systems.x3d.expansion import Cost, Notches, Point, meta_cost, propose

TARGET_GMACS = 0.0134  # four doublings of x2d_tiny
UNIFORM = ("temporal", "spatial", "depth", "width", "bottleneck")
"""Axes that are scaled alike: X-Fast and X-Temporal are both frames. The finest comes last and makes up what is left."""
FINE = 0.05
"""Smallest change of the bottleneck there."""


def expansion(lab: Lab, seeds: range, trial_steps: int = 500, steps: int = 1500) -> Iterator[Row]:
    """An expansion of x2d_tiny to sixteen times its multiply-adds, six candidates a step, against the same network with all
    axes scaled alike to as many; both trained anew, equally long (X3D, section 3.2)."""
    found = expanded(lab, trial_steps)
    recipe = json.loads((lab.folder / found / "expanded" / "recipe.json").read_text())
    costs, point, notches = parts_of(recipe)
    control = uniform(start_of(recipe), costs(point), costs, notches)
    for name, each in (("expanded", point), ("scaled alike", control)):
        path = lab.folder / f"{found}-{name.replace(' ', '-')}.json"
        path.write_text(json.dumps(at(recipe, each)))
        values = lab.each(seeds, lambda s, path=path: lab.classify(path.stem, s, steps, recipe=path))
        yield Row(f"{name}: {words(each)}, {costs(each) / 1e6:.2f} M multiply-adds, {steps} steps", values)


def expanded(lab: Lab, trial_steps: int) -> str:
    """The name of the study of an expansion, which is run if it has not been."""
    name = f"expansion-{trial_steps}"
    lab.run(
        "expand_x3d", name, "x2d_tiny", "--data.path", str(lab.manifest()), "--data.val-path", str(lab.val()),
        "--search.target-gmacs", str(TARGET_GMACS), "--search.video-length", str(WHOLE_VIDEO.num_frames),
        *lab.length(trial_steps),
    )  # fmt: skip
    return name


def parts_of(recipe: dict[str, Any]) -> tuple[Cost, Point, Notches]:
    """Multiply-adds of points, the point of a recipe, and the notches that expansions of it have."""
    row = next(row for row in ENTRIES if row.name == recipe["model"]["name"])
    fixed = {key: value for key, value in row.config.items() if key not in ("num_frames", "size")}
    clip, factors = recipe["data"]["clip"], {**row.config, **recipe["model"]["settings"]}
    point = Point(
        clip["num_frames"], clip["num_frames"] * clip["frame_stride"], clip["frame_stride"], clip["size"],
        factors["depth_factor"], factors["width_factor"], factors["bottleneck_factor"],
    )  # fmt: skip
    return meta_cost("macs", **fixed), point, Notches(base_depths=row.config["base_depths"], length=WHOLE_VIDEO.num_frames)


def start_of(recipe: dict[str, Any]) -> Point:
    """The point from which an expansion began."""
    base = zoo.recipes(ClassifyRecipe)["x2d_tiny"]().model_dump(mode="json")
    return parts_of({**recipe, "data": base["data"], "model": base["model"]})[1]


def uniform(start: Point, target: float, cost: Cost, notches: Notches) -> Point:
    """The point whose axes have all been scaled so that each costs the same factor, at about the target."""
    point, notches = start, replace(notches, bottleneck=FINE)
    for left, axis in zip(range(len(UNIFORM), 0, -1), UNIFORM):
        step = propose(point, axis, cost, (target / cost(point)) ** (1 / left), notches)
        point = point if step is None else step.point
    return point


def at(recipe: dict[str, Any], point: Point) -> dict[str, Any]:
    """The recipe with the clips and factors of a point."""
    clip = {**recipe["data"]["clip"], "num_frames": point.frames, "frame_stride": point.stride, "size": point.size}
    model = {**recipe["model"], "settings": {**recipe["model"]["settings"], **point.settings}}
    return {**recipe, "model": model, "data": {**recipe["data"], "clip": clip}}


def words(point: Point) -> str:
    factors = f"depth {point.depth:g}, width {point.width:g}, bottleneck {point.bottleneck:g}"
    return f"{point.frames} x {point.stride} frames of {point.size}, {factors}"


def masking(lab: Lab, seeds: range, steps: int = 2500) -> Iterator[Row]:
    """Masked pre-training by the share of tokens that is masked, at equal passes over the data and at equal tokens of the
    encoder; the score is that of nearest neighbours in its features (MAE-ST, section 4.2, figure)."""
    tables = []
    for seed in seeds:
        name = f"masking-{steps}-seed{seed}"
        lab.run(
            "tune_masking", name, "mae_st_tiny_long", "--data.path", str(lab.manifest()), "--data.val-path", str(lab.val()),
            "--search.ratios", "0.5", "0.75", "0.9", "--search.samplings", "random", "--search.scheduler", "none",
            "--train.seed", str(seed), *lab.length(steps, 0.06),
        )  # fmt: skip
        with open(lab.folder / name / "trials.csv", newline="") as stream:
            tables.append(list(csv.DictReader(stream)))
    for row in tables[0]:
        same = [next(r for r in table if all(r[k] == row[k] for k in ("equal", "task.mask_ratio"))) for table in tables]
        yield Row(f"{row['task.mask_ratio']} at equal {row['equal']}", tuple(float(each["val_top1"]) for each in same))
