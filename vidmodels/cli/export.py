"""`vidmodels export`: a model as a file that runs without this package, compared with the model that it came from."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidmodels import zoo
from vidmodels.cli.asking import add_weights_options, check_exists, positive, read_labels
from vidmodels.cli.output import print_json, print_table, warn
from vidmodels.core.errors import ConfigError

if TYPE_CHECKING:
    from vidmodels.inference.export import Calibration, ExportReport
    from vidmodels.inference.predictor import Predictor

COMMAND = "export"


def run(argv: Sequence[str]) -> int:
    """`vidmodels export NAME --format F [options]`, or `vidmodels export --table`: 0. Raises what stands in `export_model`."""
    options = _parser().parse_args(list(argv))
    if options.table:
        from vidmodels.cli.export_table import print_survey

        return print_survey(options)
    _check(options)
    from vidmodels.inference.export import export_model
    from vidmodels.inference.export.exporting import check_export
    from vidmodels.inference.export.files import SUFFIXES, check_folder

    check_export(options.format, options.int8)
    path = Path(options.out or f"{Path(options.name).stem}{SUFFIXES[options.format]}")
    if path.suffix != SUFFIXES[options.format]:
        raise ConfigError(f"{path} does not end in {SUFFIXES[options.format]}, which says the format: name it so")
    check_folder(path)
    opened = _opened(options)
    calibration = _calibration(opened, options) if options.int8 else None
    if opened.report is not None:
        print(opened.report, file=sys.stderr)
    weights = None if opened.report is None else {"file": Path(opened.weights or "").name}
    about = {"classes": None if opened.classes is None else list(opened.classes), "weights": weights}
    report = export_model(
        opened.model, path, options.format, opened.spec, options.batch, options.deploy, calibration, about, options.rounds
    )
    if options.json != "-":
        print_report(report, opened.name)
    if options.json == "-":
        print_json(report.to_dict())
    elif options.json is not None:
        from vidmodels.visual.canvas import write_whole

        write_whole(options.json, (json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n").encode())
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise ConfigError for options that do not fit together, before torch is imported."""
    from vidmodels.predictors import names_exported, names_weights

    if options.name is None or options.format is None:
        raise ConfigError("name a model and a --format, or ask for the --table of what can be exported")
    if names_exported(options.name):
        raise ConfigError(f"{options.name} is exported already: name the model that it was made from")
    if not names_weights(options.name):
        zoo.entry(options.name)
    if options.calibrate and not options.int8:
        raise ConfigError("--calibrate gives clips for --int8, which was not asked for: add --int8, or leave it out")
    for video in options.calibrate or ():
        check_exists(video)
    if options.out is not None and Path(options.out).is_dir():
        raise ConfigError(f"{options.out} is a folder: name the file to write")


def _opened(options: argparse.Namespace) -> Predictor:
    """The model with its weights and class names."""
    from vidmodels.predictors import make_predictor

    classes = None if options.labels is None else read_labels(options.labels)
    settings: dict[str, Any] = {} if options.num_classes is None else {"num_classes": options.num_classes}
    opened = make_predictor(options.name, options.weights, "cpu", "float32", classes, **settings)
    if opened.report is None:
        warn(COMMAND, f"{options.name} has initial weights, so the file's answers will mean nothing: give --weights")
    return opened


def _calibration(opened: Predictor, options: argparse.Namespace) -> Calibration:
    from vidmodels.inference.export import synthetic_calibration, video_calibration

    if options.calibrate:
        return video_calibration(options.calibrate, opened.spec, options.clips)
    warn(COMMAND, "int8 is calibrated with the synthetic world: give --calibrate VIDEO... for ranges of real videos")
    return synthetic_calibration(opened.spec, options.clips)


def print_report(report: ExportReport, name: str) -> None:
    """What was written, then a table of the forms of the model."""
    batch = "any number of clips" if report.batch is None else f"{report.batch} clip{'s' * (report.batch > 1)} at once"
    print(f"{report.path}: {name} as {report.format}, {batch}")
    for each in report.inputs:
        print(f"  input  {each}")
    print(f"  check  largest relative error {report.error:.1e} against the eager model")
    if report.note:
        print(f"  note   {report.note}")
    if report.int8 is not None:
        int8 = report.int8
        print(
            f"  int8   highest class as in float for {int8.agreement:.1%} of {int8.clips} calibration clips and "
            f"{int8.agreement_others:.1%} of {int8.others} others, relative error {int8.error:.1e}"
        )
    first = report.forms[0]
    rows = [
        (
            form.name, f"{form.size / 1e6:.1f}", f"{form.size / first.size:.2f}", f"{1000 * form.seconds:.1f}",
            f"{first.seconds / form.seconds:.2f}",
        )
        for form in report.forms
    ]  # fmt: skip
    print_table(("form", "MB", "of eager", "ms", "times as fast"), rows, ("MB", "of eager", "ms", "times as fast"))
    threads = "1 thread" if report.threads == 1 else f"{report.threads} threads"
    clips = "one clip" if report.timed_batch == 1 else f"{report.timed_batch} clips"
    print(f"medians of {report.rounds} runs of {clips} in turn, {threads}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidmodels export",
        description="Write a model as a file that runs without this package, and compare its answers (an error above 1e-4), "
        "size and time with the model that it came from. `vidmodels predict FILE VIDEO` takes such files.",
    )
    parser.add_argument("name", nargs="?", help="name of a model, or weights that say which model they are")
    parser.add_argument("--format", metavar="F", help="onnx or torch-export")
    add_weights_options(parser)
    parser.add_argument("--labels", metavar="FILE", help="class names, one a line or JSON (default: those of the weights)")
    parser.add_argument("--out", metavar="FILE", help="file to write (default: NAME.onnx or NAME.pt2 here)")
    parser.add_argument(
        "--batch", type=positive, metavar="N", help="clips at once (default: any number, where the network can be traced so)"
    )
    parser.add_argument("--deploy", action="store_true", help="the deployed form of a ConvNet, for one batch size (1)")
    parser.add_argument("--int8", action="store_true", help="8-bit integers (onnx only)")
    parser.add_argument(
        "--calibrate", nargs="+", metavar="VIDEO", help="videos that ranges for --int8 are taken from (default: synthetic ones)"
    )
    parser.add_argument(
        "--clips", type=positive, default=32, metavar="N", help="clips for --int8, half of them to judge it by (default: 32)"
    )
    parser.add_argument(
        "--rounds", type=positive, default=10, metavar="N", help="runs of each form for the timing (default: 10)"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON (-: print it)")
    parser.add_argument(
        "--table", action="store_true", help="try a small model of each family (or NAME) in each format, and print what exports"
    )
    return parser
