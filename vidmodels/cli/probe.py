"""`vidmodels probe`: how well frozen features tell classes apart, by nearest neighbours or a linear layer."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vidmodels.cli.asking import above_zero, add_device_option, positive
from vidmodels.cli.output import print_json, print_table, warn
from vidmodels.core.errors import ConfigError

if TYPE_CHECKING:
    from vidmodels.inference.probe import Labelled

COMMAND = "probe"


def run(argv: Sequence[str]) -> int:
    """`vidmodels probe TRAIN VAL [--method knn|linear]`. Raises DataError and ConfigError."""
    options = _parser().parse_args(list(argv))
    from vidmodels.inference.feature_file import FeatureFile
    from vidmodels.inference.probe import classes_of_both, read_labelled

    files = FeatureFile(options.train), FeatureFile(options.val)
    if not files[0].source.comparable(files[1].source):
        raise ConfigError(
            f"{options.train} holds {files[0].source}, and {options.val} {files[1].source}: make both with the same model"
        )
    train, val = (read_labelled(file, options.label) for file in files)
    classes = classes_of_both(train, val, options.train)
    for path, part in ((options.train, train), (options.val, val)):
        if part.unlabelled:
            warn(COMMAND, f"{part.unlabelled} videos of {path} have no label and are left out")
    if unknown := set(val.labels) - set(train.labels):
        warn(COMMAND, f"{len(unknown)} classes of {options.val} are not among those of training, such as {min(unknown)!r}")
    if both := set(train.ids) & set(val.ids):
        warn(COMMAND, f"{len(both)} videos are in both files, such as {min(both)}: the accuracy is too good for them")
    _answer(options, train, val, classes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidmodels probe",
        description="Accuracy of frozen features on the videos of VAL, given the labels of those of TRAIN: files of `vidmodels "
        "features` by the same model. The features of a video are the mean of those of its windows.",
    )
    parser.add_argument("train", metavar="TRAIN.parquet", help="features of labelled videos")
    parser.add_argument("val", metavar="VAL.parquet", help="features of the videos to be named")
    parser.add_argument(
        "--method", default="knn", choices=("knn", "linear"),
        help="nearest neighbours, or a linear layer whose weight decay is chosen on a fifth of TRAIN (default: knn)",
    )  # fmt: skip
    parser.add_argument("--k", type=positive, default=200, metavar="K", help="knn: neighbours that count (default: 200)")
    parser.add_argument(
        "--temperature", type=above_zero, default=0.1, metavar="T",
        help="knn: a neighbour counts exp(cosine / T) (default: 0.1)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="linear: chooses the fifth (default: 0)")
    parser.add_argument(
        "--label", default="label", metavar="NAME",
        help="column with the classes, or 'folder', the names of the videos' folders (default: label)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print as JSON")
    add_device_option(parser)
    return parser


def _answer(options: argparse.Namespace, train: Labelled, val: Labelled, classes: tuple[str, ...]) -> None:
    from vidmodels.inference.linear import DEFAULT_WEIGHT_DECAY
    from vidmodels.inference.predictor import checked_device
    from vidmodels.inference.probe import linear_scores, nearest_scores
    from vidmodels.training.evaluation import Scores, summarise

    settings: dict[str, Any]
    if options.method == "knn":
        scores = nearest_scores(train, val, classes, options.k, options.temperature)
        settings = {"k": min(options.k, len(train.ids)), "temperature": options.temperature}
    else:
        scores, chosen = linear_scores(train, val, classes, options.seed, checked_device(options.device))
        if chosen is None:
            warn(COMMAND, f"no class has two videos to choose the weight decay with: it is {DEFAULT_WEIGHT_DECAY:g}")
        settings = {"weight_decay": chosen or DEFAULT_WEIGHT_DECAY, "seed": options.seed}
    found = summarise(Scores(val.ids, scores, val.numbers(classes)), classes)
    shown: Any = found.per_class
    tops = {name: value for name, value in found.metrics.items() if name.startswith("top")}
    if options.json:
        # a class without a video has no accuracy, for which JSON has no number
        rows = [{"name": row.name, "videos": row.support, "accuracy": row.accuracy if row.support else None} for row in shown]
        about = {"method": options.method, **settings, "train_videos": len(train.ids), "val_videos": len(val.ids)}
        print_json(about | tops | {"classes": rows})
        return
    said = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in settings.items())
    print(f"{options.method} ({said}): {len(train.ids)} videos of training, {len(val.ids)} to be named, {len(classes)} classes")
    print("  ".join(f"{name} {100 * value:.1f} %" for name, value in tops.items()))
    print()
    print_table(
        ("class", "videos", "accuracy"),
        [(row.name, row.support, f"{100 * row.accuracy:.1f} %" if row.support else "") for row in shown],
        ("videos", "accuracy"),
    )
