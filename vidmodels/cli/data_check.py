"""`vidmodels data check`: what is wrong with the videos of a data set, before a training run meets it."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import get_args

from vidmodels.cli.asking import above_zero, positive
from vidmodels.cli.output import print_json, print_table
from vidmodels.core.formats import Format

NOTES = frozenset({"variable_rate", "rotated"})
"""Findings that are no fault: frames are taken by their true times and come upright."""


def run(argv: Sequence[str]) -> int:
    """`vidmodels data check PATH [options]`: 0 clean, 1 faults found. Raises DataError for a path that is no data set."""
    parser = argparse.ArgumentParser(
        prog="vidmodels data check",
        description="Find damaged, missing, short and duplicate videos in a data set, and labels that contradict each "
        "other. Exit code: 0 clean, 1 faults found (uneven times and rotation are notes, no faults), 2 usage.",
    )
    parser.add_argument("path", help="folder of videos, list, CSV or Parquet manifest; a local path or an object-store URI")
    parser.add_argument(
        "--format", default="auto", choices=get_args(Format), metavar="NAME",
        help=f"how the path is read: {', '.join(get_args(Format))} (default: auto)",
    )  # fmt: skip
    parser.add_argument("--root", metavar="FOLDER", help="folder that holds the videos of a list (default: the list's)")
    parser.add_argument("--fps", type=above_zero, metavar="F", help="videos are folders of pictures, F for each second")
    parser.add_argument("--split", metavar="NAME", help="part of a data set that has several in one place (HMDB51: train1)")
    parser.add_argument("--label", metavar="NAME", help="which label, where videos have several (EPIC-KITCHENS: verb)")
    parser.add_argument("--classes", metavar="FILE", help="names of the classes (default: those of the data set)")
    parser.add_argument("--model", metavar="NAME", help="model whose clip length a video should have")
    parser.add_argument("--num-frames", type=positive, metavar="T", help="frames of a clip (default: 16)")
    parser.add_argument("--frame-stride", type=positive, metavar="N", help="a clip takes every N-th frame (default: 1)")
    parser.add_argument("--quick", action="store_true", help="headers and first frames only, no comparison of contents")
    parser.add_argument("--json", action="store_true", help="print as JSON")
    options = parser.parse_args(list(argv))

    frames, stride = _clip(options)
    from vidmodels.data.check import check_paths
    from vidmodels.data.formats import load_manifest

    manifest = load_manifest(
        options.path, options.format, options.root,
        fps=options.fps, split=options.split, label=options.label, classes=options.classes,
    )  # fmt: skip
    findings = check_paths(manifest, num_frames=frames, frame_stride=stride, quick=options.quick, progress=_progress())
    faults = [finding for finding in findings if finding.kind not in NOTES]
    kinds = Counter(finding.kind for finding in findings)
    videos = len(manifest) + len(manifest.missing)
    if options.json:
        listed = [{**dataclasses.asdict(finding), "fault": finding.kind not in NOTES} for finding in findings]
        print_json({"path": options.path, "videos": videos, "faults": len(faults), "kinds": kinds, "findings": listed})
        return 1 if faults else 0
    if findings:
        print_table(("kind", "video", "detail"), [(f.kind, f.id, _plain(f.detail, f.uri)) for f in findings])
        print()
    summary = ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "nothing found"
    print(f"{videos} {'video' if videos == 1 else 'videos'}: {summary}")
    return 1 if faults else 0


def _clip(options: argparse.Namespace) -> tuple[int, int]:
    """Frames and stride of the clip that a video should be long enough for."""
    frames, stride = 16, 1
    if options.model is not None:
        from vidmodels import zoo

        spec = zoo.entry(options.model).input
        frames, stride = spec.num_frames, spec.frame_stride
    return options.num_frames or frames, options.frame_stride or stride


def _plain(detail: str, uri: str) -> str:
    """The sentence without the address that stands in the row already."""
    return detail.removeprefix(uri).lstrip(": ")


def _progress() -> Callable[[int, int], None] | None:
    """A count on standard error, in a terminal only."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)

    return show
