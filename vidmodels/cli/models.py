"""`vidmodels models`: the table of models."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any

from vidmodels import zoo
from vidmodels.cli.output import count, print_json, print_table
from vidmodels.core.entry import InputSpec, ZooEntry
from vidmodels.core.errors import ConfigError, did_you_mean


def run(argv: Sequence[str]) -> int:
    """`vidmodels models [PATTERN] [--task TASK] [--json]`. Raises ConfigError where no model fits."""
    parser = argparse.ArgumentParser(prog="vidmodels models", description="List the models.")
    parser.add_argument("pattern", nargs="?", default="*", help="part of a name, or a pattern such as '*pretrain*'")
    parser.add_argument("--task", help="only models for this task, such as classify")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    options = parser.parse_args(list(argv))

    tasks = sorted({entry.task for entry in zoo.entries().values()})
    if options.task is not None and options.task not in tasks:
        raise ConfigError(f"no model is for {options.task!r}{did_you_mean(options.task, tasks)}; tasks: {', '.join(tasks)}")
    rows = [zoo.entry(name) for name in zoo.list_models(options.pattern)]
    rows = [row for row in rows if options.task in (None, row.task)]
    if not rows:
        raise ConfigError(f"no model fits {options.pattern!r}{did_you_mean(options.pattern, zoo.entries())}")
    if options.json:
        print_json([as_dict(row) for row in rows])
        return 0
    table = [(r.name, r.task, input_text(r.input), count(r.params), r.licence) for r in rows]
    print_table(("name", "task", "input", "params", "licence"), table, right=("params",))
    return 0


def input_text(spec: InputSpec) -> str:
    """`16 x 4, 224 px`: frames x stride, side of the picture."""
    return f"{spec.num_frames} x {spec.frame_stride}, {spec.size} px"


def as_dict(row: ZooEntry) -> dict[str, Any]:
    """A row of a card as plain values."""
    spec = row.input
    return {
        "name": row.name,
        "system": row.system,
        "task": row.task,
        "summary": row.summary,
        "input": {
            "num_frames": spec.num_frames,
            "frame_stride": spec.frame_stride,
            "fps": spec.fps,
            "size": spec.size,
            "mean": list(spec.mean),
            "std": list(spec.std),
            "audio": None if spec.audio is None else dataclasses.asdict(spec.audio),
        },
        "params": row.params,
        "macs": row.macs,
        "published": row.published,
        "licence": row.licence,
        "formats": list(row.formats),
        "recipes": list(row.recipes),
    }
