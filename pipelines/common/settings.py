"""The command line of programs that take a trained model: PROGRAM MODEL --key value ..."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from pydantic import Field

from pipelines.common.keys import parse_keys
from pipelines.common.program import exit_with
from vidmodels.core.recipe import DataSection, EvalSection, RunSection, Section

SectionT = TypeVar("SectionT", bound=Section)


class EvaluateSettings(Section):
    """Evaluate a classifier on labelled videos: multi-view, every video exactly once."""

    model: str
    """Weights: models:/NAME@ALIAS, a run's folder, or a .safetensors file."""
    data: DataSection = DataSection()
    """The labelled videos; with validation videos (`val_path`, `val_fraction`, the synthetic world) these, else all."""
    evaluation: EvalSection = EvalSection()
    """Clips x crops of each video."""
    run: RunSection = RunSection()
    out: str | None = None
    """Folder of the results; default: evaluations/NAME in the storage."""


class PredictSettings(Section):
    """Predict the classes of all videos of a folder, list or bucket, or compute their features."""

    model: str
    """Weights: models:/NAME@ALIAS, a run's folder, or a .safetensors file."""
    out: str
    """Folder or URI of the Parquet files; the same command goes on where it stopped."""
    data: DataSection = DataSection()
    """The videos."""
    evaluation: EvalSection = EvalSection()
    """Clips x crops of each video."""
    what: Literal["scores", "features"] = "scores"
    """scores: the best classes; features: one embedding for each view."""
    top: int = Field(5, ge=1)
    """Classes that are kept of each video."""
    part: int = Field(256, ge=1)
    """Videos of one Parquet file, and so the most that a stop loses."""
    run: RunSection = RunSection()


def run_model_program(
    program: str, settings_type: type[SectionT], execute: Callable[[SectionT], int], argv: Sequence[str] | None = None
) -> None:
    """Parse, execute, exit."""
    words = list(sys.argv[1:] if argv is None else argv)
    exit_with(program, lambda: execute(parse_settings(words, program, settings_type)))


def parse_settings(words: list[str], program: str, settings_type: type[SectionT]) -> SectionT:
    """The settings of a command line whose first word is the model. Exits 0 after `--help`; raises ConfigError."""
    if words and not words[0].startswith("-"):
        words = ["--model", *words]
    about = f"{settings_type.__doc__}\n\nusage: {program} MODEL --key value ..."
    return parse_keys(words, settings_type, None, program, about)
