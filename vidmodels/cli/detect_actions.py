"""`vidmodels detect-actions`: who does what, where and when in videos, given the boxes of the people."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidmodels.cli.asking import above_zero, add_model_options, for_each, open_predictor, positive, read_labels
from vidmodels.cli.output import print_json, print_table
from vidmodels.core.errors import ConfigError

if TYPE_CHECKING:
    from vidmodels.data.probe import Limits
    from vidmodels.tasks.action_results import ActionsResult

COMMAND = "detect-actions"
PICTURES = 6


def run(argv: Sequence[str]) -> int:
    """`vidmodels detect-actions NAME VIDEO... --boxes FILE [options]`: 0, or 1 where a video could not be read."""
    options = _parser().parse_args(list(argv))
    _check_target(options.video, options.videos)
    classes = None if options.labels is None else action_names(options.labels)
    from vidmodels.data.formats.boxes import read_boxes

    boxes = read_boxes(options.boxes, normalised=options.normalised)
    opened = open_predictor(COMMAND, options, classes)
    from vidmodels.inference.action_predictor import ActionPredictor

    predictor = ActionPredictor(opened)
    answers: list[dict[str, Any]] = []

    def one(video: str) -> None:
        result = predictor.predict(video, boxes, options.step)
        files = _write(result, options, opened.limits, answers)
        answers.append(result.to_dict(options.top, options.threshold) | {"files": [str(path) for path in files]})
        if options.json != "-":
            print_result(result, options.top, options.threshold, files)

    errors = for_each(COMMAND, options.videos, one)
    answers += [{"video": video, "error": error} for video, error in errors.items()]
    if options.json == "-":
        print_json(answers)
    elif options.json is not None:
        import json

        from vidmodels.visual.canvas import write_whole

        write_whole(options.json, (json.dumps(answers, ensure_ascii=False) + "\n").encode())
    return 1 if errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidmodels detect-actions",
        description="Name what each person in a video does. The people come as boxes in a file with the columns video, time "
        "(seconds), x1, y1, x2, y2 and, if known, person; they are linked over time. Exit code 1 where a video could not be "
        "read.",
    )
    add_model_options(parser)
    parser.add_argument("--boxes", required=True, metavar="FILE", help="boxes of the people: .csv, .json, .jsonl or .parquet")
    parser.add_argument("--normalised", action="store_true", help="the boxes are shares of the frame (default: pixels)")
    parser.add_argument(
        "--labels", metavar="FILE", help="class names, one a line, JSON or .pbtxt (default: those of the weights)"
    )
    parser.add_argument(
        "--step", type=above_zero, default=1.0, metavar="SECONDS", help="between two moments that are named (default: 1)"
    )
    parser.add_argument("--top", type=positive, default=3, metavar="K", help="actions of a person at most (default: 3)")
    parser.add_argument("--threshold", type=_share, default=0.3, metavar="P", help="lowest score that counts (default: 0.3)")
    parser.add_argument("--out", metavar="FOLDER", help="write NAME.json and NAME.png, frames with boxes and actions")
    parser.add_argument("--video", metavar="OUT.mp4", help="write the video with boxes and actions")
    parser.add_argument("--json", metavar="FILE", help="write all scores as JSON (-: print them)")
    return parser


def action_names(path: str) -> tuple[str, ...]:
    """Class names in any form of `read_labels`, or AVA's label map. Raises DataError."""
    if not path.endswith(".pbtxt"):
        return read_labels(path)
    from vidmodels.data.formats.ava import ava_classes, read_label_map

    return ava_classes(read_label_map(path))[0]


def print_result(result: ActionsResult, top: int, threshold: float, files: Sequence[Path]) -> None:
    """The video, and a row for each action of each person."""
    print(result.video)
    names = {person.number: person.title for person in result.persons}
    spans = result.spans(top, threshold)
    rows = [(names[s.person], s.action, f"{s.start:.2f}", f"{s.end:.2f}", f"{s.score:.4f}") for s in spans]
    if rows:
        print_table(("person", "action", "from", "to", "score"), rows, right=("from", "to", "score"))
    else:
        print(f"  {len(result.persons)} persons, no action of {threshold:g} or more")
    for path in files:
        print(f"  {path}")


def annotate(result: ActionsResult, path: str | Path, top: int, threshold: float, limits: Limits | None = None) -> Path:
    """Write the video with boxes and actions over it, one frame in memory at a time."""
    from vidmodels.data.decode import VideoReader
    from vidmodels.tasks.action_results import ActionPainter
    from vidmodels.visual.writer import VideoWriter

    paint = ActionPainter(result, top, threshold)
    with VideoReader(result.video, limits) as video, VideoWriter(path, video.info.fps) as writer:
        for time, frame in video:
            writer.write(paint(time, frame), time)
    return Path(path)


def save_pictures(result: ActionsResult, path: str | Path, top: int, threshold: float, limits: Limits | None = None) -> Path:
    """Write a sheet of frames, evenly over the moments at which there are people."""
    import numpy as np

    from vidmodels.data.decode import VideoReader
    from vidmodels.tasks.action_results import save_sheet
    from vidmodels.visual.canvas import spread

    moments = sorted({float(time) for person in result.persons for time in person.action_times})
    times = [moments[index] for index in spread(len(moments), PICTURES)]
    with VideoReader(result.video, limits) as video:
        # one by one: six full frames of a large video are more than is needed
        drawn = [result.draw(video.read([time]).frames, [time], top, threshold)[0] for time in times]
    return save_sheet(np.stack(drawn), times, path)


def _check_target(out: str | None, videos: Sequence[str]) -> None:
    """Raise ConfigError for an annotated video that would be written several times, or over the video itself."""
    if out is None:
        return
    if len(videos) > 1:
        raise ConfigError(f"--video {out} is one file for {len(videos)} videos: name the videos one by one")
    if Path(out).exists() and Path(videos[0]).exists() and Path(out).samefile(videos[0]):
        raise ConfigError(f"--video {out} is the video itself: give another file")


def _write(result: ActionsResult, options: argparse.Namespace, limits: Limits | None, answers: list[dict]) -> list[Path]:
    """The files that the options ask for."""
    files = []
    if options.out is not None:
        base = _free_name(options.out, result.video, answers)
        files.append(result.save(base.with_suffix(".json"), options.top, options.threshold))
        if any(len(person.action_times) for person in result.persons):
            files.append(save_pictures(result, base.with_suffix(".png"), options.top, options.threshold, limits))
    if options.video is not None:
        files.append(annotate(result, options.video, options.top, options.threshold, limits))
    return files


def _free_name(folder: str, video: str, answers: list[dict]) -> Path:
    """FOLDER/NAME without an ending, with a number where another video of this call has the same name."""
    taken = {Path(path).with_suffix("") for answer in answers for path in answer["files"]}
    base = Path(folder) / Path(video).stem
    path, number = base, 2
    while path in taken:
        path, number = base.with_name(f"{base.name}_{number}"), number + 1
    return path


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..1")
    return value
