"""`vidmodels checkpoints`: the checkpoints of a run, and whether they verify."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidmodels.cli.output import print_json, print_table
from vidmodels.core.errors import CheckpointError

if TYPE_CHECKING:
    from vidmodels.training.checkpoint import CheckpointInfo


def run(argv: Sequence[str]) -> int:
    """`vidmodels checkpoints FOLDER [--metric NAME] [--json]`: 0, or 1 where one is damaged or none verifies."""
    parser = argparse.ArgumentParser(
        prog="vidmodels checkpoints",
        description="List the checkpoints of a run and verify their files (SHA-256). Exit code 1 where one is damaged or "
        "none is whole; a partial one, of an interrupted write, is no fault.",
    )
    parser.add_argument("folder", help="folder of a run or of its checkpoints; a local path or an object-store URI")
    parser.add_argument("--metric", metavar="NAME", help="show this metric, such as top1")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    options = parser.parse_args(list(argv))

    folder = _folder(options.folder)
    from vidmodels.training.checkpoint import Checkpointer, megabytes

    found = Checkpointer(folder, metric=options.metric).list()
    if not found:
        raise CheckpointError(f"there are no checkpoints in {folder}: give the folder of a run or of its checkpoints")
    if options.json:
        print_json([{**dataclasses.asdict(line), "state": state(line)} for line in found])
    else:
        rows = [
            (line.step, state(line), megabytes(line.bytes), "" if line.metric is None else f"{line.metric:.4g}",
             line.problem, line.uri)
            for line in found
        ]  # fmt: skip
        headers = ("step", "state", "size", options.metric or "metric", "problem", "where")
        shown = [i for i in range(len(headers)) if i in (0, 1, 2, 5) or any(row[i] for row in rows)]
        print_table([headers[i] for i in shown], [[row[i] for i in shown] for row in rows], right=("step", "size"))
    states = {state(line) for line in found}
    return 1 if "damaged" in states or "ok" not in states else 0


def state(line: CheckpointInfo) -> str:
    """`ok`, `damaged`, or `partial` for what an interrupted write left behind."""
    if line.ok:
        return "ok"
    return "partial" if (line.problem or "").startswith("partial") else "damaged"


def _folder(given: str) -> str:
    """The folder that holds the checkpoints. Raises CheckpointError for a local one that is not there."""
    if "://" in given:
        return given
    path = Path(given).expanduser()
    if not path.is_dir():
        raise CheckpointError(f"there is no folder {given}: give the folder of a run or of its checkpoints")
    return str(path / "checkpoints" if (path / "checkpoints").is_dir() else path)
