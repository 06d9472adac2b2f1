"""A run's report.html: everything that a person wants to know about a run, in one file that needs no other.

The report shows what lies in the run's folder; each part is optional:
recipe.json, finished.json, metrics.csv, loss_curve.png, sample_batch.png, reconstruction.png, reconstruction.mp4,
confusion_matrix.png, average_precision.png, key_frames.png, per_class.csv (of several label sets, NAME_confusion_matrix.png
and NAME_per_class.csv of each), and checkpoints (folders step_*/ with a manifest.json).
"""

from __future__ import annotations

import base64
import csv
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from vidmodels.core.errors import RunError
from vidmodels.core.recipe import flatten
from vidmodels.visual.canvas import write_whole
from vidmodels.visual.environment import environment
from vidmodels.visual.page import Cell, bar, card, details, facts_table, media, page, pill, table, tiles
from vidmodels.visual.plots import read_columns
from vidmodels.visual.text import number, percent, size

MAX_EMBEDDED = 30_000_000  # bytes; a larger file is linked instead
PICTURES = {
    "reconstruction.png": "Original, masked and reconstructed frames at each masking ratio",
    "key_frames.png": "Boxes with what is true of each, and below it the answers of the model",
    "sample_batch.png": "Clips as they reach the model, before augmentation on the device",
}
CLASS_PICTURES = {
    "confusion_matrix.png": "Rows are true classes, columns the answers",
    "average_precision.png": "Average precision of each class over all key frames",
}
LOWER_IS_BETTER = ("loss", "error")
NOT_RANKED = ("epoch", "lr", "clips_per_s", "data_wait", "grad_norm", "bad_samples", "skipped_steps")
OPEN_ROWS = 30


def write_report(run_folder: str | os.PathLike[str], facts: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """Write `report.html` into a run's local folder and return its path.

    facts: further tables to show, {title: {name: value}}, for example the data's origin or the code version.
    Pictures and video are embedded, links are relative. Raises RunError for a folder that is not there, a JSON file in it
    that is damaged, or a report that cannot be written; DataError for a damaged metrics.csv.
    """
    folder = Path(run_folder)
    if not folder.is_dir():
        raise RunError(f"no run folder at {folder}: give the folder that holds a run's recipe.json and metrics.csv")
    recipe, finished = _read_json(folder / "recipe.json"), _read_json(folder / "finished.json")
    metrics = read_columns(folder / "metrics.csv") if (folder / "metrics.csv").exists() else {}
    name = folder.resolve().name
    parts = [
        tiles(_headline(metrics)),
        _picture(folder, "loss_curve.png", "Training", "Loss and other metrics over the optimiser steps", plot=True),
        _reconstruction(folder),
        _picture(folder, "sample_batch.png", "Data", PICTURES["sample_batch.png"]),
        _picture(folder, "key_frames.png", "Key frames", PICTURES["key_frames.png"]),
        _classes(folder),
        _metrics(metrics),
        *(card(title, facts_table(dict(rows))) for title, rows in _fact_tables(recipe, finished, facts)),
        _undecoded(finished),
        _recipe(recipe),
        card("Environment", facts_table(environment())),
        _files(folder),
    ]
    model = recipe.get("model", {}).get("name", "") if isinstance(recipe.get("model"), dict) else ""
    state = pill("finished", "good") if finished else pill("not finished", "open")
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    html = page(name, f"{state} {Cell.escape(model)}", f"Written {written}", [part for part in parts if part])
    return write_whole(folder / "report.html", html.encode())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path} for the report: {error}") from None
    return content if isinstance(content, dict) else {"content": content}


def data_uri(path: Path) -> str | None:
    """The file as a data: URI, or None where it is missing or too large to embed."""
    kind = {".png": "image/png", ".mp4": "video/mp4"}[path.suffix]
    if not path.is_file() or path.stat().st_size > MAX_EMBEDDED:
        return None
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _picture(folder: Path, name: str, title: str, caption: str, plot: bool = False) -> str:
    uri = data_uri(folder / name)
    return card(title, media(uri, caption, "plot" if plot else "strip")) if uri else ""


def _reconstruction(folder: Path) -> str:
    video, panel = data_uri(folder / "reconstruction.mp4"), data_uri(folder / "reconstruction.png")
    body = media(video, "The same clip as a video", "video") if video else ""
    if panel:
        body += media(panel, PICTURES["reconstruction.png"], "strip")
    return card("Reconstruction", body) if body else ""


def _headline(metrics: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """(name, value) of the few figures that come first."""
    shown: list[tuple[str, str]] = []
    of_sets = [(key, f"{key[4:-5]} top-1, validation") for key in metrics if key.startswith("val_") and key.endswith("_top1")]
    known = (("val_top1", "top-1, validation"), ("top1", "top-1, training"), ("val_top5", "top-5, validation"))
    for key, label in (*known, *of_sets):
        if (value := _last(metrics, key)) is not None:
            shown.append((label, f"{100 * value:.1f} %"))
    for key, label in (("loss", "loss, last"), ("val_loss", "loss, validation"), ("step", "steps"), ("epoch", "epochs")):
        if (value := _last(metrics, key)) is not None:
            shown.append((label, number(value)))
    if (speed := _median(metrics, "clips_per_s")) is not None:
        shown.append(("clips per second", number(speed)))
    if (wait := _median(metrics, "data_wait")) is not None:
        shown.append(("waiting for data", percent(wait)))
    return shown


def _last(metrics: Mapping[str, np.ndarray], key: str) -> float | None:
    known = _known(metrics, key)
    return float(known[-1]) if known.size else None


def _median(metrics: Mapping[str, np.ndarray], key: str) -> float | None:
    known = _known(metrics, key)
    return float(np.median(known)) if known.size else None


def _known(metrics: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    values = metrics.get(key, np.array([]))
    return values[np.isfinite(values)]


def _metrics(metrics: Mapping[str, np.ndarray]) -> str:
    """The last value of each metric and, where one direction is better, the best one and its step."""
    rows: list[list[str | Cell]] = []
    for key in metrics:
        known = np.flatnonzero(np.isfinite(metrics[key]))
        if key == "step" or not known.size:
            continue
        best = best_step = ""
        if key not in NOT_RANKED:
            least = any(word in key for word in LOWER_IS_BETTER)
            at = known[(np.argmin if least else np.argmax)(metrics[key][known])]
            best, best_step = number(metrics[key][at]), number(metrics["step"][at]) if "step" in metrics else ""
        rows.append([key, Cell.right(number(metrics[key][known[-1]])), Cell.right(best), Cell.right(best_step)])
    if not rows:
        return ""
    return card("Metrics", table(["metric", Cell.right("last"), Cell.right("best"), Cell.right("at step")], rows))


def _classes(folder: Path) -> str:
    """Pictures and tables of classes, of several label sets those of each."""
    body = ""
    for name, said in CLASS_PICTURES.items():
        for path in sorted(folder.glob(f"*{name}")):
            if picture := data_uri(path):
                body += media(picture, f"{said}{_of_set(path, name)}", "plot narrow")
    for source in sorted(folder.glob("*per_class.csv")):
        with source.open(newline="") as stream:
            lines = list(csv.DictReader(stream))
        heads, rows = _precision_rows(lines) if "average_precision" in lines[0] else _accuracy_rows(lines)
        body += details(
            f"{len(rows)} classes{_of_set(source, 'per_class.csv')}", table(heads, rows), opened=len(rows) <= OPEN_ROWS
        )
    return card("Classes", body) if body else ""


def _of_set(path: Path, name: str) -> str:
    """Whose file it is, in words, where the name of a label set stands before that of the file."""
    label_set = path.name.removesuffix(name).rstrip("_")
    return f" of {label_set}" if label_set else ""


def _accuracy_rows(lines: list[dict[str, str]]) -> tuple[list[str | Cell], list[list[str | Cell]]]:
    """Head and rows of a table of classes that exclude each other."""
    right = (Cell.right("precision"), Cell.right("F1"))
    heads: list[str | Cell] = ["class", Cell.right("samples"), "accuracy", *right, "most confused with"]
    rows: list[list[str | Cell]] = [
        [
            line["name"],
            Cell.right(line["support"]),
            bar(float(line["accuracy"])),
            Cell.right(_share(line["precision"])),
            Cell.right(_share(line["f1"])),
            f"{line['confused_with']} ({line['confused']})" if line["confused_with"] else "",
        ]
        for line in lines
    ]
    return heads, rows


def _precision_rows(lines: list[dict[str, str]]) -> tuple[list[str | Cell], list[list[str | Cell]]]:
    """Head and rows of a table of classes of which a sample may have several."""
    heads: list[str | Cell] = ["class", Cell.right("samples"), "average precision"]
    rows: list[list[str | Cell]] = []
    for line in lines:
        value = line["average_precision"]
        rows.append([line["name"], Cell.right(line["support"]), "-" if value == "nan" else bar(float(value))])
    return heads, rows


def _share(text: str) -> str:
    return f"{100 * float(text):.1f} %" if text != "nan" else "-"


def _fact_tables(recipe: dict, finished: dict, facts: Mapping[str, Mapping[str, Any]] | None) -> list[tuple[str, Mapping]]:
    """(title, rows) of the tables between the pictures and the recipe."""
    tables: list[tuple[str, Mapping]] = []
    outcome = {key: value for key, value in flatten({k: v for k, v in finished.items() if k != "bad_samples"}).items()}
    if outcome:
        tables.append(("Outcome", outcome))
    given = dict(facts or {})
    if recipe.get("data_digest"):
        tables.append(("Data digest", {"SHA-256": recipe["data_digest"], **given.pop("Data digest", {})}))
    return tables + [(title, flatten(dict(rows))) for title, rows in given.items()]


def _undecoded(finished: dict) -> str:
    bad = finished.get("bad_samples")
    if not isinstance(bad, dict) or not bad:
        return ""
    rows = [[key, str(why)] for key, why in sorted(bad.items())[:200]]
    return card("Videos that could not be decoded", details(f"{len(bad)} videos", table(["video", "why"], rows)))


def _recipe(recipe: dict) -> str:
    sections = {key: value for key, value in recipe.items() if key != "data_digest"}
    if not sections:
        return ""
    alone = {key: value for key, value in sections.items() if not isinstance(value, dict)}
    body = facts_table(alone) if alone else ""
    for key, value in sections.items():
        if isinstance(value, dict):
            body += details(key, facts_table(flatten(value)), opened=key in ("model", "task", "optim", "schedule"))
    return card("Recipe", body)


def _files(folder: Path) -> str:
    body = ""
    manifests = sorted([*folder.glob("step_*/manifest.json"), *folder.glob("*/step_*/manifest.json")])
    rows: list[list[str | Cell]] = []
    for path in manifests:
        manifest = _read_json(path)
        entries = manifest.get("files", {})
        total = sum(entry.get("bytes", 0) for entry in entries.values() if isinstance(entry, dict))
        measured = ", ".join(f"{k} {number(v)}" for k, v in manifest.get("metrics", {}).items() if "loss" in k or "top1" in k)
        name = path.parent.relative_to(folder).as_posix()
        rows.append([Cell.link(f"./{quote(name)}/", path.parent.name), Cell.right(size(total)), measured])
    if rows:
        body += table(["checkpoint", Cell.right("size"), "metrics"], rows)
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != "report.html" and not p.name.startswith("."))
    rows = [[Cell.link(f"./{quote(p.name)}", p.name), Cell.right(size(p.stat().st_size))] for p in files]
    if rows:
        body += table(["file", Cell.right("size")], rows)
    return card("Checkpoints and files" if manifests else "Files", body) if body else ""
