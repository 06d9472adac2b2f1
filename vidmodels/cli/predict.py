"""`vidmodels predict`: classes of videos."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidmodels.cli.asking import (
    above_zero,
    add_model_options,
    add_sound_option,
    for_each,
    open_predictor,
    positive,
    read_labels,
)
from vidmodels.cli.output import print_json

if TYPE_CHECKING:
    from vidmodels.inference.predictor import Predictor
    from vidmodels.tasks.results import ClassifyResult

COMMAND = "predict"


def run(argv: Sequence[str]) -> int:
    """`vidmodels predict NAME VIDEO... [options]`: 0, or 1 where a video could not be read."""
    options = _parser().parse_args(list(argv))
    classes = None if options.labels is None else read_labels(options.labels)
    predictor = open_predictor(COMMAND, options, classes)
    answers: list[dict[str, Any]] = []
    to_stdout = options.json == "-"

    def one(video: str) -> None:
        if options.out is not None or options.stride is not None:
            from vidmodels.tasks.results import merge

            result = merge(predictor.stream(video, options.stride, options.crops))
        else:
            result = predictor.predict(video, options.clips, options.crops)
        picture = None if options.out is None else annotate(predictor, result, _target(options.out, video, answers))
        answers.append(result.to_dict(options.top) | ({} if picture is None else {"annotated": str(picture)}))
        if not to_stdout:
            print_result(result, options.top, picture)

    errors = for_each(COMMAND, options.videos, one)
    answers += [{"video": video, "error": error} for video, error in errors.items()]
    if to_stdout:
        print_json(answers)
    elif options.json is not None:
        from vidmodels.visual.canvas import write_whole

        write_whole(options.json, (json.dumps(answers, indent=2, ensure_ascii=False) + "\n").encode())
    return 1 if errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidmodels predict", description="Name the classes of videos. Exit code 1 where a video could not be read."
    )
    add_model_options(parser)
    add_sound_option(parser)
    parser.add_argument("--labels", metavar="FILE", help="class names, one a line or JSON (default: those of the weights)")
    parser.add_argument("--clips", type=positive, default=1, metavar="N", help="clips evenly over each video (default: 1)")
    parser.add_argument("--crops", type=int, default=1, choices=(1, 3), help="crops of each clip along its long side")
    parser.add_argument("--top", type=positive, default=5, metavar="K", help="classes that are printed (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="write all scores as JSON (-: print them)")
    parser.add_argument(
        "--out", metavar="FOLDER", help="write each video with its classes over time; clips then cover the whole video"
    )
    parser.add_argument(
        "--stride", type=above_zero, metavar="SECONDS", help="clips over the whole video, so far apart (--out: end to end)"
    )
    return parser


def print_result(result: ClassifyResult, top: int, picture: Path | None) -> None:
    """The video, whether it was heard, and its classes with their probabilities."""
    print(result.video if result.sound is None else f"{result.video} ({result.sound})")
    for label_set, entries in result.tops(top).items():
        if label_set:
            print(f"  {label_set}")
        for name, score in entries:
            print(f"  {score:.4f}  {name}")
    if picture is not None:
        print(f"  {picture}")


def annotate(predictor: Predictor, result: ClassifyResult, path: Path) -> Path:
    """Write the video, or picture, with the classes of each moment below it, one frame in memory at a time."""
    from vidmodels.data.frames import open_sample
    from vidmodels.tasks.results import Painter
    from vidmodels.visual.canvas import save_png
    from vidmodels.visual.writer import VideoWriter

    paint = Painter(result)
    if path.suffix == ".png":
        with open_sample(result.video, None, predictor.limits) as video:
            return next(save_png(paint(time, frame), path) for time, frame in video)
    with open_sample(result.video, None, predictor.limits) as video, VideoWriter(path, video.info.fps) as writer:
        for time, frame in video:
            writer.write(paint(time, frame), time)
    return path


def _target(folder: str, video: str, answers: list[dict[str, Any]]) -> Path:
    """FOLDER/NAME.mp4 (a picture: .png), with a number where another video of this call has the same name."""
    from vidmodels.data.storage import is_picture

    taken = {answer.get("annotated") for answer in answers}
    stem, ending = Path(video).stem, ".png" if is_picture(video) else ".mp4"
    path, number = Path(folder) / f"{stem}{ending}", 2
    if path.exists() and Path(video).exists() and path.samefile(video):
        path = Path(folder) / f"{stem}_classes{ending}"  # never over the video itself
    while str(path) in taken:
        path, number = Path(folder) / f"{stem}_{number}{ending}", number + 1
    return path
