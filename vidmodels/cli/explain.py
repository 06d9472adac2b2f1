"""`vidmodels explain`: which places of videos spoke for their classes, as pictures, videos and JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidmodels.cli.asking import (
    above_zero,
    add_device_option,
    add_sound_option,
    add_weights_options,
    for_each,
    open_predictor,
    read_labels,
)

if TYPE_CHECKING:
    from vidmodels.inference.explain import ExplainedWindow
    from vidmodels.inference.predictor import Predictor
    from vidmodels.visual.heatmap import HeatRow

COMMAND = "explain"
METHODS = ("grad-cam", "relevance", "attention")


def run(argv: Sequence[str]) -> int:
    """`vidmodels explain NAME VIDEO... [--class NAME] [--out FOLDER]`: 0, or 1 where a video could not be read."""
    options = _parser().parse_args(list(argv))
    classes = None if options.labels is None else read_labels(options.labels)
    predictor = open_predictor(COMMAND, options, classes)
    taken: set[Path] = set()

    def one(video: str) -> None:
        base = _base(Path(options.out), video, taken)
        answer = explain_to(base, predictor, video, options.target, options.stride, options.method)
        print(video)
        for window in answer["windows"]:
            silent = "  (without sound)" if window.get("heard") is False else ""
            print(f"  {window['start']:.2f} to {window['end']:.2f} s  {window['score']:.4f}  {window['class']}{silent}")
        for name in ("sheet", "annotated", "json"):
            print(f"  {answer[name]}")

    return 1 if for_each(COMMAND, options.videos, one) else 0


def explain_to(
    base: Path, predictor: Predictor, video: str, target: str | None, stride: float | None, method: Any
) -> dict[str, Any]:
    """Write BASE.png, BASE.mp4 and BASE.json in one pass over the video, one window in memory but for those of the sheet.

    Returns what the JSON says.
    """
    from vidmodels.inference.explain import explain_video, method_for
    from vidmodels.visual.canvas import write_whole

    sheet, film, about = (base.with_name(base.name + suffix) for suffix in (".png", ".mp4", ".json"))
    answer: dict[str, Any] = {
        "video": video,
        "model": predictor.name,
        "weights": predictor.weights,
        "method": method or method_for(predictor.model),
        "windows": [],
        "sheet": str(sheet),
        "annotated": str(film),
        "json": str(about),
    }
    shown: dict[int, ExplainedWindow] = {}
    wanted = _shown(predictor, video, stride)

    def noted() -> Iterator[ExplainedWindow]:
        for number, window in enumerate(explain_video(predictor, video, target, stride, method)):
            answer["windows"].append(window.to_dict())
            if number in wanted:
                shown[number] = window
            yield window

    annotate(predictor, video, noted(), film)
    save_sheet(list(shown.values()), sheet, video, predictor.name)
    write_whole(about, (json.dumps(answer, indent=2, ensure_ascii=False) + "\n").encode())
    return answer


def annotate(predictor: Predictor, video: str, windows: Iterator[ExplainedWindow], path: Path) -> None:
    """Write the video under the heat of its windows; each frame has that of the frame of the clip nearest in time."""
    import numpy as np

    from vidmodels.data.decode import VideoReader
    from vidmodels.visual.heatmap import HeatPainter
    from vidmodels.visual.writer import VideoWriter

    paint, window = HeatPainter(), next(windows)
    heat = window.heat()
    with VideoReader(video, predictor.limits) as reader, VideoWriter(path, reader.info.fps) as writer:
        for time, frame in reader:
            while time >= window.end - 1e-6 and (following := next(windows, None)) is not None:
                window, heat = following, following.heat()
            nearest = int(np.abs(np.array(window.times) - time).argmin())
            box = (window.crop.top, window.crop.left, window.crop.height, window.crop.width)
            writer.write(paint(frame, heat[nearest], box, window.name, window.score), time)
        for _ in windows:
            pass  # of a last frame that ends before its window does


def save_sheet(windows: Sequence[ExplainedWindow], path: Path, video: str, model: str) -> None:
    """The sheet of some windows of a video."""
    from vidmodels.visual.heatmap import save_heat_sheet
    from vidmodels.visual.text import shorten

    method, frames = windows[0].method, windows[0].frames
    subtitle = f"{model}, {method}, {len(frames)} frames of {frames.shape[2]} x {frames.shape[1]} pixels a clip"
    save_heat_sheet([_row(window) for window in windows], path, f"Evidence in {shorten(Path(video).name, 60)}", subtitle)


def _row(window: ExplainedWindow) -> HeatRow:
    from vidmodels.visual.heatmap import HeatRow
    from vidmodels.visual.text import percent

    heats: dict[str, tuple[Any, str]] = {window.name: (window.heat(), f"score {percent(window.score)}")}
    for name in window.parts:
        heats[f"{name} pathway"] = (window.heat(name), f"adds {round(window.shares[name], 2) + 0.0:+.2f} to the logit")
    span = f"{window.start:.2f} to {window.end:.2f} s"
    share = window.shares.get("audio", 0.0)
    heard = "" if window.sound is None else f"adds {round(share, 2) + 0.0:+.2f} to the logit"
    return HeatRow(window.frames, heats, span, "as the model sees it", window.sound, heard)


def _shown(predictor: Predictor, video: str, stride: float | None) -> list[int]:
    """Numbers of the windows that the sheet shows."""
    from vidmodels.data.decode import VideoReader
    from vidmodels.inference.explain import maps_of
    from vidmodels.inference.windows import window_spans
    from vidmodels.visual.heatmap import windows_of_sheet

    with VideoReader(video, predictor.limits) as reader:
        count = sum(1 for _ in window_spans(reader.info, predictor.spec, stride))
    return windows_of_sheet(count, maps_of(predictor.model))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidmodels explain",
        description="Show which places of videos spoke for a class: for each video a sheet of frames over time, the video "
        "under its heat map, and JSON. Exit code 1 where a video could not be read.",
    )
    parser.add_argument("name", help="name of a model, or weights that say which model they are (a file, models:/NAME@ALIAS)")
    parser.add_argument("videos", nargs="+", metavar="video", help="video files")
    add_weights_options(parser)
    add_device_option(parser)
    add_sound_option(parser)
    parser.set_defaults(precision="float32", batch_size=1)  # maps are those of the network as it was trained
    parser.add_argument("--labels", metavar="FILE", help="class names, one a line or JSON (default: those of the weights)")
    parser.add_argument(
        "--class", dest="target", metavar="NAME", help="class that is explained (default: the highest of each window)"
    )
    parser.add_argument(
        "--method", choices=METHODS,
        help="grad-cam for ConvNets, relevance or attention for transformers (default: what the model has; relevance)",
    )  # fmt: skip
    parser.add_argument("--out", default="explained", metavar="FOLDER", help="folder to write (default: explained)")
    parser.add_argument("--stride", type=above_zero, metavar="SECONDS", help="from window to window (default: end to end)")
    return parser


def _base(folder: Path, video: str, taken: set[Path]) -> Path:
    """FOLDER/NAME without a suffix, with a number where another video of this call has the same name."""
    stem = Path(video).stem
    base, number = folder / stem, 2
    film = folder / f"{stem}.mp4"
    if film.exists() and Path(video).exists() and film.samefile(video):
        base = folder / f"{stem}_explained"  # never over the video itself
    while base in taken:
        base, number = folder / f"{stem}_{number}", number + 1
    taken.add(base)
    return base
