"""`vidmodels call`: ask a service over HTTP."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidmodels.core.errors import ConfigError

TASKS = ("classify", "features", "explain", "detect-actions")


def run(argv: Sequence[str]) -> int:
    """`vidmodels call TASK MODEL VIDEO [--option key=value]`: prints the answer as JSON, or a table of classes."""
    options = _parser().parse_args(list(argv))
    values: dict[str, Any] = {}
    for word in options.option:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--option {word!r} has no value: write --option key=value, such as --option num_clips=10")
        values[key.replace("-", "_")] = value
    if options.boxes is not None:
        values["boxes"] = read_boxes(options.boxes)
    from vidmodels.client import Client

    with Client(options.url, options.token) as client:
        answer = client.answer(options.task, options.model, options.video, **values)
    if options.out is not None:
        Path(options.out).write_text(json.dumps(answer, indent=2) + "\n")
    if options.json or options.task != "classify":
        shown = answer if options.out is None else {key: answer[key] for key in answer if key in ("video", "model", "duration")}
        print(json.dumps(shown, indent=2))
    else:
        tops = answer["top"] if isinstance(answer["top"], dict) else {"": answer["top"]}
        for name, top in tops.items():
            print(f"{answer['video']}{f' {name}' if name else ''}")
            for row in top:
                print(f"  {row['score']:.4f}  {row['name']}")
    if answer.version:
        print(f"answered by {answer.version}: `vidmodels lineage {answer.version}` says what it was made from")
    return 0


def read_boxes(path: str) -> list[dict[str, Any]]:
    """Rows of a CSV with the columns time, x1, y1, x2, y2 and, if it likes, person. Raises ConfigError."""
    try:
        with open(path, newline="") as stream:
            rows = list(csv.DictReader(stream))
        return [_box(row) for row in rows]
    except OSError as error:
        raise ConfigError(f"no boxes at {path} ({error.strerror}): give a CSV file") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} holds no boxes ({error}): its columns are time, x1, y1, x2, y2 (pixels), person") from None


def _box(row: dict[str, str]) -> dict[str, Any]:
    box: dict[str, Any] = {key: float(row[key]) for key in ("time", "x1", "y1", "x2", "y2")}
    return {**box, "person": row["person"]} if row.get("person") else box


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vidmodels call", description="Ask a service of `vidmodels serve` about a video.")
    parser.add_argument("task", choices=TASKS, help="what is asked")
    parser.add_argument("model", help="name of a model that is served")
    parser.add_argument("video", help="video file, or STORE:PATH of a store that the service knows")
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="option of the task, several times")
    parser.add_argument("--boxes", metavar="FILE", help="detect-actions: CSV of time, x1, y1, x2, y2, person")
    parser.add_argument("--url", help="address of the service (default: $VIDMODELS_URL, else http://127.0.0.1:8000)")
    parser.add_argument("--token", help="token (default: $VIDMODELS_TOKEN)")
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
    parser.add_argument("--out", metavar="FILE", help="write the whole answer as JSON to a file")
    return parser
