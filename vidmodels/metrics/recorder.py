"""A run's metrics.csv: one row per step, kept consistent over restarts."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

from vidmodels.core.errors import DataError, RunError


class MetricsFile:
    """Rows of metrics by rising step; the columns grow as new metrics appear.

    path: the local CSV file, made with its folder when the first row comes. resume_step: the step that the run goes on
    from; rows beyond it were written after the checkpoint and are dropped, as the run will compute them again (None
    keeps all). A last line that a killed process left unfinished is dropped too.
    Raises DataError for a file that is no metrics file, RunError where it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], resume_step: int | None = None) -> None:
        self.path = Path(path)
        self.columns: list[str] = ["step"]
        self.last_step = -1
        if self.path.exists():
            columns, rows = read_metrics(self.path, resume_step)
            self.columns = columns
            self._rewrite(rows)

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one step's metrics; those of the newest step again (an evaluation, say) join its row."""
        if step < self.last_step:
            raise DataError(f"{self.path}: step {step} comes after step {self.last_step}; open it with resume_step={step}")
        fresh = [name for name in metrics if name not in self.columns]
        if fresh or step == self.last_step or not self.path.exists():
            rows = read_metrics(self.path)[1] if self.path.exists() else []
            if not rows or int(rows[-1]["step"]) != step:
                rows.append({"step": str(step)})
            rows[-1].update({name: repr(float(value)) for name, value in metrics.items()})
            self.columns += fresh
            self._rewrite(rows)
            return
        row = {"step": str(step), **{name: repr(float(value)) for name, value in metrics.items()}}
        try:
            with self.path.open("a", newline="") as stream:
                csv.DictWriter(stream, self.columns, restval="", lineterminator="\n").writerow(row)
        except OSError as error:
            raise self._unwritable(error) from None
        self.last_step = step

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(text.getvalue())
            aside.replace(self.path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise self._unwritable(error) from None
        self.last_step = int(rows[-1]["step"]) if rows else -1

    def _unwritable(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.path}: {error.strerror or error}; free some space or choose another folder")


def read_metrics(path: str | os.PathLike[str], until: int | None = None) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the rows (text as written, missing cells left out) of a metrics file, up to step `until`.

    A last line without its end is left out. Raises DataError for a file without a `step` column or with a bad row.
    """
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the metrics file {path}: {error}") from None
    whole = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(io.StringIO(whole))
    columns = list(reader.fieldnames or ["step"])
    if columns[0] != "step":
        raise DataError(f"{path} is no metrics file: its first column is {columns[0]!r}, not 'step'; move it away")
    rows = []
    for row in reader:
        if None in row or not (row["step"] or "").isdigit():
            raise DataError(
                f"{path}, line {reader.line_num}: no row of metrics: {next(iter(row.values()))!r}; repair or move it"
            )
        if until is None or int(row["step"]) <= until:
            rows.append({name: value for name, value in row.items() if value})
    return columns, rows
