"""What a study came to: the table of its trials as text and CSV, its report.html, and what MLflow is told of it."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.common.codeversion import code_version
from pipelines.common.execute import SEND_AT_END_S
from pipelines.common.search.study import Record, Study
from pipelines.common.spool import RunState, Spool, pending_records
from vidmodels.core.recipe import Recipe, RunSection, flatten
from vidmodels.visual.canvas import write_whole
from vidmodels.visual.page import Cell, bar, card, facts_table, media, page, pill, table, tiles
from vidmodels.visual.report import data_uri
from vidmodels.visual.text import duration, number

log = logging.getLogger(__name__)

TABLE_FILE, REPORT_FILE = "trials.csv", "report.html"


@dataclass(frozen=True)
class Row:
    """A line of the table: a trial with its score, nan where it has none."""

    name: str
    record: Record
    score: float

    def cells(self, keys: Sequence[str]) -> list[str]:
        record = self.record
        settings = [_short(record.settings.get(key, "")) for key in keys]
        score = "-" if math.isnan(self.score) else number(self.score)
        return [self.name, record.state, score, *settings, str(record.step), f"{record.seconds:.0f}"]


def rows_of(study: Study, names: Sequence[str], metric: str, mode: str) -> list[Row]:
    """The trials with these names that have ended, the best first, those without a score last.

    A trial that was stopped has the score that it had then, which is no rival to the scores of whole trainings: it comes after.
    """
    rows = [Row(name, record, _score(record, metric)) for name in names if (record := study.records.get(name)) is not None]
    sign = -1 if mode == "max" else 1
    return sorted(rows, key=lambda row: (row.record.state != "finished", math.isnan(row.score), sign * row.score, row.name))


def best_of(rows: Sequence[Row]) -> Row | None:
    """The first row, if it is a trial that was trained to its end."""
    return rows[0] if rows and rows[0].record.state == "finished" and not math.isnan(rows[0].score) else None


def heads(rows: Sequence[Row], metric: str) -> tuple[list[str], list[str]]:
    """The keys of all rows' settings, and the table's heads."""
    keys = list(dict.fromkeys(key for row in rows for key in row.record.settings))
    return keys, ["trial", "state", metric, *keys, "step", "seconds"]


def text_table(rows: Sequence[Row], metric: str) -> str:
    """The table as aligned text."""
    keys, head = heads(rows, metric)
    lines = [head, *(row.cells(keys) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def write_table(folder: Path, rows: Sequence[Row], metric: str) -> Path:
    """The table as CSV, with full digits and the errors of trials that failed."""
    keys, _ = heads(rows, metric)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", metric, *keys, "seed", "step", "seconds", "error"])
    for row in rows:
        record = row.record
        score = "" if math.isnan(row.score) else row.score
        settings = [record.settings.get(key, "") for key in keys]
        writer.writerow([row.name, record.state, score, *settings, record.seed, record.step, record.seconds, record.error])
    return write_whole(folder / TABLE_FILE, text.getvalue().encode())


def write_study_report(
    study: Study,
    rows: Sequence[Row],
    metric: str,
    best: Row | None,
    pictures: Mapping[str, str],
    facts: Mapping[str, Mapping[str, Any]],
) -> Path:
    """The study's report.html. best: what the search came to; pictures: {file in the folder: caption}; facts: {title: {name:
    value}}."""
    folder = study.folder.scratch
    states = [row.record.state for row in rows]
    shown = [("chosen, " + metric, number(best.score))] if best else []
    shown += [(state, str(states.count(state))) for state in ("finished", "stopped", "failed") if state in states]
    shown.append(("training, all trials", duration(sum(row.record.seconds for row in rows))))
    parts = [tiles(shown)]
    parts += [
        card("Scores", media(uri, caption, "plot")) for name, caption in pictures.items() if (uri := data_uri(folder / name))
    ]
    parts += [card("Trials", _html_table(rows, metric, best))]
    parts += [card(title, facts_table(flatten(dict(values)))) for title, values in facts.items()]
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    html = page(study.name, pill("finished", "good"), f"Written {written}", parts)
    return write_whole(folder / REPORT_FILE, html.encode())


@contextmanager
def study_lineage(
    study: Study, program: str, recipe: Recipe, search: Mapping[str, Any], run: RunSection, tracking_uri: str, digest: str
) -> Iterator[tuple[Spool | None, str | None]]:
    """The spool of the study's own MLflow run, and its id, under which trials are its children; None without lineage."""
    if not run.lineage:
        yield None, None
        return
    from pipelines.common.lineage import version_tags
    from pipelines.common.runs import identity_hash
    from pipelines.common.storage_paths import artifact_root
    from pipelines.common.writer import SpoolWriter

    folder, storage = study.folder.scratch / "lineage", study.folder.uri.rsplit("/", 1)[0]
    with ExitStack() as stack:
        root = artifact_root(tracking_uri, storage)
        stack.enter_context(SpoolWriter(folder, tracking_uri, run.experiment, study.name, root))
        spool = stack.enter_context(Spool(folder))
        spool.params(flatten({"search": dict(search)}) | flatten(recipe.model_dump(mode="json")))
        spool.tags({"program": program, "study": study.name, **version_tags(identity_hash(study.about["identity"]), digest)})
        try:
            yield spool, RunState.load(folder).spool_id
            send_trials(study)
        except BaseException:
            spool.status("FAILED")
            raise


def send_trials(study: Study) -> None:
    """Send to MLflow what trials said and their writers, which end with their processes, have not sent; the rest is told.

    Of a study in an object store the spools lie where the trials ran, and are not seen from here.
    """
    from pipelines.common.writer import sync

    deadline = time.monotonic() + SEND_AT_END_S
    folders = [study.folder.scratch / name / "lineage" for name in study.records]
    waiting = [folder for folder in folders if folder.is_dir() and pending_records(folder)]
    left = [folder for folder in waiting if sync(folder, max(1.0, deadline - time.monotonic()))]
    if left:
        log.warning("MLflow does not have all of %d trials yet: vidmodels runs sync %s", len(left), left[0])


def tell_outcome(spool: Spool | None, study: Study, best: Row | None, files: Sequence[Path]) -> None:
    """The best trial's settings and metrics, and the study's files, to MLflow; the study is finished."""
    if spool is None:
        return
    if best is not None:
        spool.params({"best.trial": best.name, **{f"best.{key}": value for key, value in best.record.settings.items()}})
        values = {f"best.{key}": value for key, value in best.record.metrics.items() if math.isfinite(value)}
        spool.metrics(values, len(study.records))
    for file in files:
        spool.artifact(file)
    spool.status("FINISHED")


def facts_of(study: Study, search: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The tables that every report of a study has."""
    identity = {key: value for key, value in study.about["identity"].items() if key not in ("search", "classes")}
    return {"Search": dict(search), "Code": {"version": code_version()}, "Recipe of all trials": identity}


def _html_table(rows: Sequence[Row], metric: str, best: Row | None) -> str:
    keys, head = heads(rows, metric)
    shares = all(0 <= row.score <= 1 for row in rows if not math.isnan(row.score))
    lines: list[list[str | Cell]] = []
    for row in rows:
        name, state, score, *others = row.cells(keys)
        marked = Cell(f"{Cell.escape(name)} {pill('chosen', 'good')}") if row is best else name
        said = f"{state}: {row.record.error}" if row.record.error else state
        lines.append([marked, said, bar(row.score) if shares else Cell.right(score), *(Cell.right(cell) for cell in others)])
    return table([*head[:3], *(Cell.right(cell) for cell in head[3:])], lines)


def _score(record: Record, metric: str) -> float:
    value = record.metrics.get(metric)
    return math.nan if value is None or record.state == "failed" else float(value)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)
