"""What commands share: options of a model, class names, going through several videos."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidmodels import zoo
from vidmodels.cli.output import warn
from vidmodels.core.errors import ConfigError, DataError, VidmodelsError
from vidmodels.core.label_sets import NumClasses

if TYPE_CHECKING:
    from vidmodels.inference.predictor import Predictor


def add_model_options(parser: argparse.ArgumentParser, videos: str = "+") -> None:
    """NAME, VIDEO... and the options that make a predictor. videos: how many, as argparse's nargs."""
    parser.add_argument(
        "name", help="name of a model, weights that say which model they are (a file, models:/NAME@ALIAS), or an exported file"
    )
    parser.add_argument("videos", nargs=videos, metavar="video", help="video files")
    add_weights_options(parser)
    add_device_option(parser)
    parser.add_argument(
        "--precision", default="float32", choices=("float32", "bf16", "fast"),
        help="fast: bf16 where the hardware has units for it (default: float32)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=8,
        metavar="N",
        help="clips computed at once, on a CPU fewer where they are large (default: 8)",
    )


def add_weights_options(parser: argparse.ArgumentParser) -> None:
    """What fills a model."""
    parser.add_argument("--weights", metavar="FILE", help="checkpoint in any format of the model (default: initial values)")
    add_num_classes_option(parser)


def add_num_classes_option(parser: argparse.ArgumentParser) -> None:
    """How many classes a head has, in one set or in several."""
    parser.add_argument(
        "--num-classes", type=class_counts, metavar="N",
        help="classes of the head, where not the published number; of several label sets as in verb=97,noun=300",
    )  # fmt: skip


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Where it is computed."""
    parser.add_argument("--device", help="cpu, cuda or cuda:1 (default: the GPU where there is one)")


def add_sound_option(parser: argparse.ArgumentParser) -> None:
    """What is asked of models that hear."""
    parser.add_argument(
        "--require-sound", action="store_true",
        help="of a model that hears: a video without sound is an error (default: its pictures alone answer, and that is said)",
    )  # fmt: skip


def class_counts(text: str) -> NumClasses:
    """A number of classes, or NAME=N,... of several label sets, for argparse."""
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        if "=" not in text:
            return positive(text)
        sizes = {name.strip(): positive(number) for name, _, number in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor as in verb=97,noun=300") from None
    if len(sizes) < len(pairs):
        raise argparse.ArgumentTypeError(f"{text} names a label set twice")
    return sizes


def positive(text: str) -> int:
    """An integer of 1 or more, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def above_zero(text: str) -> float:
    """A number above 0, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def open_predictor(
    command: str, options: argparse.Namespace, classes: tuple[str, ...] | None = None, allow: tuple[str, ...] = ()
) -> Predictor:
    """The predictor that the options ask for; says on standard error what became of the weights.

    Raises ConfigError and WeightsError, those for names before torch is imported.
    """
    from vidmodels.predictors import make_predictor, names_exported, names_weights

    if not names_weights(options.name):
        zoo.entry(options.name)
    settings: dict[str, Any] = {} if options.num_classes is None else {"num_classes": options.num_classes}
    predictor = make_predictor(
        options.name, options.weights, options.device, options.precision, classes, options.batch_size, allow, **settings
    )
    predictor.require_sound = getattr(options, "require_sound", False)
    if predictor.require_sound and predictor.spec.audio is None:
        raise ConfigError(f"{predictor.name} takes no sound: leave out --require-sound, or choose a model that hears")
    if predictor.report is not None:
        print(predictor.report, file=sys.stderr)
    elif predictor.weights is None:
        remedy = "export it with --weights" if names_exported(options.name) else "give --weights"
        warn(command, f"{options.name} has initial weights, so its answers mean nothing: {remedy}")
    return predictor


def for_each(command: str, videos: Sequence[str], work: Callable[[str], None], are_files: bool = True) -> dict[str, str]:
    """Do the work for each video; one that cannot be read is reported and the others go on. Returns {video: error}.

    are_files: the names are paths or addresses of files, not names of samples.
    """
    errors: dict[str, str] = {}
    for video in videos:
        try:
            if are_files:
                check_exists(video)
            work(video)
        except ConfigError:
            raise  # it would come again for each video
        except VidmodelsError as error:
            errors[video] = str(error)
            warn(command, str(error))
    if len(videos) > 1 and errors:
        warn(command, f"{len(errors)} of {len(videos)} videos could not be read")
    return errors


def check_exists(video: str) -> None:
    """Raise DataError for a local path where there is no file."""
    if "://" in video:
        return
    path = Path(video).expanduser()
    if path.is_dir():
        raise DataError(f"{video} is a folder: give video files, such as {video.rstrip('/')}/*.mp4")
    if not path.exists():
        raise DataError(f"there is no video at {video}: check the path")


def read_labels(path: str) -> tuple[str, ...]:
    """Class names: a text file with one a line, or JSON, a list of names or an object number -> name or name -> number.

    Raises DataError for a file that cannot be read as that.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"there is no labels file at {path}: give a text file with one class name a line") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise DataError(f"cannot read the labels {path} ({reason}): give a text file with one class name a line") from None
    if text.lstrip().startswith(("[", "{")):
        return _json_labels(path, text)
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names:
        raise DataError(f"the labels file {path} is empty: write one class name a line")
    return names


def _json_labels(path: str, text: str) -> tuple[str, ...]:
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise DataError(f"the labels file {path} is not JSON: {error}") from None
    if isinstance(tree, dict):
        by_name = all(isinstance(value, int) for value in tree.values())
        try:
            numbered = {int(value if by_name else key): str(key if by_name else value) for key, value in tree.items()}
        except ValueError:
            raise DataError(f"the labels file {path} maps neither numbers to names nor names to numbers") from None
        if sorted(numbered) != list(range(len(tree))):
            raise DataError(f"the labels file {path} must number its {len(tree)} classes from 0 without gaps")
        return tuple(numbered[number] for number in range(len(numbered)))
    if not tree or not all(isinstance(name, str) for name in tree):
        raise DataError(f"the labels file {path} must be a list of names, or an object of names and numbers")
    return tuple(tree)
