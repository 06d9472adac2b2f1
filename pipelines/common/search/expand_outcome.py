"""What an expansion came to: the recipe of the network that was found, the path as a table and a picture, the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pipelines.common.search.outcome import facts_of, rows_of, tell_outcome, text_table, write_study_report, write_table
from pipelines.common.search.settings import ExpandSection, mode_of
from pipelines.common.search.study import Study
from pipelines.common.spool import Spool
from vidmodels.core.recipe import ClassifyRecipe
from vidmodels.visual.canvas import write_whole
from vidmodels.visual.sweeps import Candidate, save_expansion
from vidmodels.visual.text import number

RECIPE = "expanded/recipe.json"
PICTURE = "expansion.png"


def conclude_expansion(
    study: Study, found: ClassifyRecipe, search: ExpandSection, metric: str, unit: str, target: float, spool: Spool | None
) -> None:
    """Write the found recipe, table, picture and report; tell MLflow; say where they are."""
    folder, mode = study.folder.scratch, mode_of(metric)
    recipe = write_whole(folder / RECIPE, (json.dumps(found.model_dump(mode="json"), indent=2) + "\n").encode())
    generations = study.notes["generations"]
    names = list(dict.fromkeys(each["trial"] for part in generations for each in part["candidates"]))
    # in the order of the path, and in each generation the best first
    rows = sorted(rows_of(study, names, metric, mode), key=lambda row: row.record.settings["generation"])
    save_expansion(_candidates(study, metric), unit, metric, folder / PICTURE, target)
    last = chosen_of(generations[-1])
    final = next(row for row in rows if row.name == last["trial"])
    path = {f"{place} {chosen_of(part)['axis']}": _step(study, part, metric, unit) for place, part in enumerate(generations)}
    table = write_table(folder, rows, metric)
    caption = f"{metric} over the cost of a clip; each dot a network that was trained, the line the path"
    facts = {"Path": path, **facts_of(study, search.identity())}
    report = write_study_report(study, rows, metric, final, {PICTURE: caption}, facts)
    if spool is not None:
        for place, part in enumerate(generations):
            record = study.records[chosen_of(part)["trial"]]
            spool.metrics({"path.cost": chosen_of(part)["cost"], f"path.{metric}": record.metrics[metric]}, place)
    tell_outcome(spool, study, final, [table, folder / PICTURE, recipe, folder / "recipe.json", report])
    study.mark_finished({"trial": final.name, "metrics": final.record.metrics, "point": last["point"], "cost": last["cost"]})
    study.folder.upload()
    print(text_table(rows, metric))
    for name, said in path.items():
        print(f"generation {name}: {said}")
    print(f"folder {study.folder.uri}\nrecipe {study.folder.uri}/{RECIPE}")
    print(f"train it: python pipelines/train_classifier.py --recipe {recipe}")


def chosen_of(generation: Mapping[str, Any]) -> dict[str, Any]:
    """The candidate that a generation chose."""
    return next(each for each in generation["candidates"] if each["axis"] == generation["chosen"])


def _step(study: Study, generation: Mapping[str, Any], metric: str, unit: str) -> str:
    chosen = chosen_of(generation)
    point, score = chosen["point"], study.records[chosen["trial"]].metrics[metric]
    factors = f"depth {point['depth']:g}, width {point['width']:g}, bottleneck {point['bottleneck']:g}"
    clip = f"{point['frames']} x {point['stride']} frames of {point['size']} pixels"
    return f"{chosen['cost']:.4g} {unit} (x {chosen['ratio']:.3g}), {clip}, {factors}, {metric} {number(score)}"


def _candidates(study: Study, metric: str) -> list[Candidate]:
    found = []
    for generation in study.notes["generations"]:
        for each in generation["candidates"]:
            record = study.records[each["trial"]]
            score = record.metrics.get(metric, math.nan) if record.state == "finished" else math.nan
            found.append(Candidate(each["axis"], each["cost"], score, each["axis"] == generation["chosen"]))
    return found
