"""`vidmodels export --table`: what exports, tried on a small model of each family."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vidmodels import zoo
from vidmodels.cli.output import print_json, print_table
from vidmodels.core.errors import ConfigError, VidmodelsError


@dataclass(frozen=True)
class Sample:
    """A family, and one of its models that is small by name or by its settings."""

    family: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)


SAMPLES = (
    Sample("SlowFast", "slowfast_tiny"),
    Sample("Slow", "slow_tiny"),
    Sample("C2D", "c2d_tiny"),
    Sample("I3D, non-local", "i3d_tiny", {"non_local_after": ((), (1,), (1,), ())}),
    Sample("R(2+1)D", "r2plus1d_tiny"),
    Sample("CSN", "csn_tiny"),
    Sample("X3D", "x3d_tiny"),
    Sample("EfficientX3D", "efficient_x3d_xs", {"size": 64}),
    Sample("AVSlowFast", "avslowfast_tiny"),
    Sample("MViT", "mvit_tiny"),
    Sample("MViTv2, video", "mvitv2_tiny_video"),
    Sample("MViTv2, image", "mvitv2_t", {"depth": 4, "stage_starts": (1, 2, 3), "size": 64}),
    Sample("MAE-ST", "mae_st_vit_tiny"),
    Sample("action detector, SlowFast", "slowfast_r50_8x8_ava", {"depth": (1, 1, 1, 1), "width": 16, "size": 64}),
    Sample("action detector, MViTv2", "mvitv2_s_16x4_ava", {"depth": 4, "stage_starts": (1, 2, 3), "size": 64}),
)


@dataclass(frozen=True)
class Way:
    """A column of the table: a format and options of `export_model`."""

    title: str
    format: str
    deployed: bool = False
    int8: bool = False


WAYS = (
    Way("torch-export", "torch-export"),
    Way("onnx", "onnx"),
    Way("onnx --deploy", "onnx", deployed=True),
    Way("onnx --int8", "onnx", int8=True),
)


@dataclass(frozen=True)
class Tried:
    """One cell: error is the largest relative error of the answers against the eager model's, or those of int8 against the
    float file's; why: for what cannot be."""

    family: str
    model: str
    way: str
    ok: bool
    batch: int | None = None
    error: float | None = None
    why: str = ""

    def __str__(self) -> str:
        if not self.ok:
            return "no"
        batch = "" if self.batch is None else f", batch of {self.batch}"
        return f"{self.error:.0e}{batch}"


def survey(samples: Sequence[Sample], ways: Sequence[Way]) -> list[Tried]:
    """Try each sample in each way, in a temporary folder."""
    tried = []
    with tempfile.TemporaryDirectory() as folder:
        for sample in samples:
            for way in ways:
                tried.append(attempt(sample, way, Path(folder)))
                print(f"{sample.family}, {way.title}: {tried[-1]}", file=sys.stderr, flush=True)
    return tried


def attempt(sample: Sample, way: Way, folder: Path) -> Tried:
    """Export one sample in one way."""
    import torch

    from vidmodels.inference.export import export_model, synthetic_calibration
    from vidmodels.inference.export.files import SUFFIXES

    torch.manual_seed(0)
    model = zoo.create_model(sample.name, **sample.settings).eval()
    cell: dict[str, Any] = {"family": sample.family, "model": sample.name, "way": way.title}
    try:
        calibration = synthetic_calibration(model.input, 8) if way.int8 else None
        report = export_model(
            model, folder / f"model{SUFFIXES[way.format]}", way.format, deployed=way.deployed, calibration=calibration, rounds=1  # type: ignore[arg-type]
        )  # fmt: skip
    except VidmodelsError as error:
        return Tried(**cell, ok=False, why=str(error))
    worst = report.error if report.int8 is None else report.int8.error
    return Tried(**cell, ok=True, batch=report.batch, error=worst)


def print_survey(options: argparse.Namespace) -> int:
    """The table: a row for each family, a column for each way, and below it why what does not export does not."""
    samples = SAMPLES if options.name is None else tuple(each for each in SAMPLES if options.name in (each.family, each.name))
    if not samples:
        raise ConfigError(f"the table has no {options.name!r}: it has {', '.join(each.name for each in SAMPLES)}")
    tried = survey(samples, WAYS)
    if options.json == "-":
        print_json([asdict(each) for each in tried])
        return 0
    if options.json is not None:
        from vidmodels.visual.canvas import write_whole

        write_whole(options.json, (json.dumps([asdict(each) for each in tried], indent=2) + "\n").encode())
    rows = [
        (each.family, each.name, *(cell for cell in tried if (cell.family, cell.model) == (each.family, each.name)))
        for each in samples
    ]
    print_table(("family", "model", *(way.title for way in WAYS)), rows)
    for each in tried:
        if not each.ok:
            print(f"{each.family}, {each.way}: {each.why}")
    return 0
