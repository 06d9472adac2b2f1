"""`vidmodels features`: embeddings of videos with their times, in a Parquet file."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from vidmodels.cli.asking import above_zero, add_model_options, add_sound_option, for_each, open_predictor, positive
from vidmodels.cli.output import warn
from vidmodels.core.errors import ConfigError, VidmodelsError
from vidmodels.core.formats import Format

if TYPE_CHECKING:
    from vidmodels.data.manifest import Manifest, SampleRef
    from vidmodels.inference.feature_file import Source
    from vidmodels.inference.predictor import Predictor

COMMAND = "features"
# what features are taken below, so that it may have any values
HEADS = ("head.*", "decoder.*")


def run(argv: Sequence[str]) -> int:
    """`vidmodels features NAME VIDEO... --out FILE.parquet`: 0, or 1 where a video could not be read."""
    options = _parser().parse_args(list(argv))
    if bool(options.videos) is (options.data is not None):
        raise ConfigError("give videos, or a data set with --data PATH: one of them")
    manifest = None if options.data is None else _manifest(options)
    predictor = open_encoder(COMMAND, options, options.projection)
    from vidmodels.inference.feature_file import FeatureWriter

    source = source_of(predictor, options.clips, options.stride)
    silent = 0

    def add(video: str, sample: str | SampleRef, values: dict[str, str | None]) -> None:
        nonlocal silent
        embeddings = predictor.features(sample, options.clips, options.stride)
        file.add(video, embeddings, values)
        silent += sum(each.heard is False for each in embeddings)

    columns, samples = _samples(options.videos, manifest)
    with FeatureWriter(options.out, source, predictor.embedding_dim, columns) as file:
        waiting = [video for video in samples if video not in file.done]
        if file.done:
            print(f"{len(file.done)} of {len(samples)} videos were done by a command that was stopped")
        try:
            errors = for_each(COMMAND, waiting, lambda video: add(video, *samples[video]()), manifest is None)
        except (KeyboardInterrupt, VidmodelsError):
            if file.rows:
                warn(COMMAND, f"{len(file.done)} of {len(samples)} videos are done: the same command goes on with the others")
            raise
    if file.rows:
        print(f"{options.out}: {file.rows} embeddings of {len(file.done)} videos, {predictor.embedding_dim} values each")
    if silent:
        print(f"  {silent} of them without sound: they are of the pictures alone")
    return 1 if errors else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidmodels features",
        description="Write embeddings of videos: a row for each window of the model's clip length, with the columns id "
        "(the video), start and end (seconds) and vector, of a data set also uri and label. A command that was stopped goes on "
        "where it was. Exit code 1 where a video could not be read; the others are written.",
    )
    add_model_options(parser, videos="*")
    add_sound_option(parser)
    parser.add_argument("--out", required=True, metavar="FILE.parquet", help="file to write")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--clips", type=positive, metavar="N", help="N clips evenly over each video, not windows over all")
    where.add_argument("--stride", type=above_zero, metavar="SECONDS", help="from window to window (default: end to end)")
    parser.add_argument(
        "--projection", action="store_true", help="of a contrastive model what its loss compares, not the layers below it"
    )
    data = parser.add_argument_group("a data set in place of videos")
    data.add_argument("--data", metavar="PATH", help="folder of videos or of classes, list, CSV or Parquet manifest")
    data.add_argument(
        "--format", default="auto", choices=get_args(Format), metavar="NAME",
        help=f"how it is read: {', '.join(get_args(Format))} (default: auto)",
    )  # fmt: skip
    data.add_argument("--root", metavar="FOLDER", help="folder that holds the videos of a list (default: the list's)")
    data.add_argument("--fps", type=above_zero, metavar="F", help="videos are folders of pictures, F for each second")
    data.add_argument("--split", metavar="NAME", help="part of a data set that has several in one place (HMDB51: train1)")
    return parser


def open_encoder(command: str, options: argparse.Namespace, projected: bool) -> Predictor:
    """The predictor that the options ask for, of which embeddings are wanted. Raises ConfigError and WeightsError."""
    # a pre-trained encoder has no head, and features need none
    predictor = open_predictor(command, options, allow=HEADS)
    predictor.projected = projected
    return predictor


def source_of(predictor: Predictor, clips: int | None, stride: float | None) -> Source:
    """What a file of this predictor's embeddings says of itself."""
    from vidmodels.inference.feature_file import Source

    weights = predictor.weights or ""
    return Source(
        predictor.name,
        os.path.abspath(weights) if os.path.exists(weights) else weights,
        predictor.digest(HEADS),
        "projection" if predictor.projected else "features",
        "" if clips is None else str(clips),
        "" if stride is None else str(stride),
        predictor.precision,
    )


def _manifest(options: argparse.Namespace) -> Manifest:
    from vidmodels.data.formats import load_manifest

    manifest = load_manifest(options.data, options.format, options.root, fps=options.fps, split=options.split)
    if manifest.missing:
        warn(COMMAND, f"{len(manifest.missing)} videos of {options.data} are not there, such as {manifest.missing[0]}")
    if manifest.multi_label:
        warn(COMMAND, "videos of this data set have several labels, which are not written")
    return manifest


def _samples(
    videos: Sequence[str], manifest: Manifest | None
) -> tuple[tuple[str, ...], dict[str, Callable[[], tuple[str | SampleRef, dict[str, str | None]]]]]:
    """Further columns of the file, and for each video by its id a function to what is read and the values of the columns."""
    if manifest is None:
        return (), {video: lambda video=video: (video, {}) for video in videos}  # type: ignore[misc]
    names: dict[str, Sequence[str]] = {f"label.{name}": classes for name, classes in manifest.label_sets.items()}
    labelled = manifest.classes is not None and not manifest.multi_label
    names = names or ({"label": manifest.classes} if labelled else {})  # type: ignore[dict-item]

    def sample(index: int) -> tuple[Any, dict[str, str | None]]:
        ref = manifest.row(index)
        labels = ref.set_labels if ref.set_labels is not None else (-1 if ref.label is None else ref.label,)
        classes = {column: None if label < 0 else each[label] for (column, each), label in zip(names.items(), labels)}
        return ref, {"uri": ref.uri, **classes}

    ids = manifest.table["id"].to_pylist()
    return ("uri", *names), {name: lambda index=index: sample(index) for index, name in enumerate(ids)}  # type: ignore[misc]
