"""`vidmodels convert`: a published checkpoint to safetensors."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from vidmodels import zoo
from vidmodels.cli.asking import add_num_classes_option, read_labels
from vidmodels.core.errors import ConfigError, WeightsError


def run(argv: Sequence[str]) -> int:
    """`vidmodels convert IN OUT.safetensors --model NAME [--num-classes N]`. Raises WeightsError where it does not fit."""
    parser = argparse.ArgumentParser(
        prog="vidmodels convert", description="Convert a checkpoint in any format of a model to safetensors."
    )
    parser.add_argument("source", metavar="IN", help="checkpoint: a file, a folder of shards, or models:/NAME@ALIAS")
    parser.add_argument("target", metavar="OUT.safetensors", help="file to write")
    parser.add_argument("--model", required=True, metavar="NAME", help="the model's name, see `vidmodels models`")
    add_num_classes_option(parser)
    parser.add_argument("--labels", metavar="FILE", help="class names to keep with the weights, one a line or JSON")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="PATTERN",
        help="parameters that may keep their initial values or be left out, such as 'head.*' (may be repeated)",
    )  # fmt: skip
    options = parser.parse_args(list(argv))

    if not options.target.endswith(".safetensors"):
        raise ConfigError(f"{options.target} does not end in .safetensors: name the file OUT.safetensors")
    row = zoo.entry(options.model)
    classes = None if options.labels is None else read_labels(options.labels)
    source = zoo.resolve_weights(options.source)
    if not source.exists():
        raise WeightsError(f"no weights file at {source}: give the path of a checkpoint that you have downloaded")
    if Path(options.target).exists() and os.path.samefile(source, options.target):
        raise ConfigError(f"{options.target} is the checkpoint itself: choose another file to write")

    from vidmodels.predictors import convert_weights

    print(convert_weights(row.name, source, options.target, classes, options.num_classes, tuple(options.allow)))
    written = Path(options.target)
    print(f"{written}: {written.stat().st_size / 1e6:.1f} MB")
    return 0
