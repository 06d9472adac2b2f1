"""A study's folder: what is searched, and what is known of each trial, replaced as a whole whenever a trial ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pipelines.common.runs import FINISHED_FILE, RunFolder, open_run, run_name
from vidmodels.core.errors import RunError

STATE_FILE = "study.json"

State = Literal["finished", "stopped", "failed"]


@dataclass
class Record:
    """What is known of a trial that has ended.

    settings: what it has that others have not; state: finished, stopped (it was behind others; its run can be resumed) or
    failed (error says why; it is tried again); metrics: the last ones; step: where it ended; seconds: spent on training steps;
    course: pairs of progress in per cent and the value that trials are compared by.
    """

    settings: dict[str, Any]
    seed: int
    state: State
    metrics: dict[str, float] = field(default_factory=dict)
    step: int = 0
    seconds: float = 0.0
    course: list[list[float]] = field(default_factory=list)
    error: str = ""


@dataclass
class Study:
    """folder: of the study, in which each trial has its run's folder; records: by the names of the trials' runs.

    notes: what a program keeps beside them, such as the path of an expansion.
    """

    folder: RunFolder
    about: dict[str, Any]
    records: dict[str, Record] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.folder.name

    def save(self) -> None:
        """Replace the file. Raises RunError."""
        trials = {name: asdict(record) for name, record in self.records.items()}
        self.folder.write_json(STATE_FILE, {**self.about, "trials": trials, "notes": self.notes})

    def note(self, name: str, record: Record) -> None:
        """Keep what a trial came to."""
        self.records[name] = record
        self.save()

    def mark_finished(self, outcome: dict[str, Any]) -> None:
        """Write down that the search came to its end, and how."""
        self.folder.write_json(FINISHED_FILE, outcome)


def open_study(storage: str, program: str, given: str | None, identity: dict[str, Any], fresh: bool) -> Study:
    """The study of this recipe, data, space and options; where it was begun, with the trials that have ended.

    Raises RunError where a study of the given name has another space or other options: the keys that differ are listed.
    """
    folder, _ = open_run(storage, run_name(program, given, identity), identity, fresh)
    found = folder.read_json(STATE_FILE) or {}
    about = {"program": program, "identity": identity}
    try:
        records = {name: Record(**record) for name, record in found.get("trials", {}).items()}
    except TypeError as error:
        raise RunError(f"{folder.uri}/{STATE_FILE} is damaged ({error}): set the study aside with --fresh") from None
    return Study(folder, about, records, found.get("notes", {}))
