"""`vidmodels data synth`: the synthetic videos as files, with their truth and a picture of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vidmodels.cli.asking import positive
from vidmodels.core.errors import ConfigError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def run(argv: Sequence[str]) -> int:
    """`vidmodels data synth OUT [options]`. Raises ConfigError for values that cannot be, DataError where OUT cannot be
    written."""
    options = _parser().parse_args(list(argv))

    import pydantic

    from vidmodels.core.recipe.data import SyntheticSection
    from vidmodels.data.synthetic.cache import synthetic_manifest, synthetic_truth
    from vidmodels.data.synthetic.world import WorldSpec

    try:
        section = SyntheticSection(
            num_videos=options.num_videos, size=options.size, num_frames=options.frames, seed=options.seed, hard=options.hard
        )
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = {"num_frames": "frames"}.get(str(first["loc"][0]), str(first["loc"][0])).replace("_", "-")
        raise ConfigError(f"--{key} {first['input']} is not possible: {first['msg']}") from None
    spec = WorldSpec.of(section, sound=options.sound, actors="figures" if options.figures else "shapes")
    for split in SPLITS:
        if options.split not in ("all", split):
            continue
        manifest = synthetic_manifest(section, split, options.out, spec=spec, processes=_processes())
        folder = Path(manifest.row(0).uri).parent
        print(f"{split}: {len(manifest)} videos, {folder / f'manifest-{len(manifest)}.parquet'}")
        if not options.no_truth:
            truth = synthetic_truth(section, split, options.out, spec=spec)
            print(f"{split}: truth of {truth.num_rows} videos, {folder / f'truth-{truth.num_rows}.parquet'}")
    if spec.classes:
        print(f"classes: {', '.join(spec.classes)}")
    if options.preview is not None:
        from vidmodels.data.synthetic.preview import contact_sheet

        Path(options.preview).parent.mkdir(parents=True, exist_ok=True)
        print(f"preview: {contact_sheet(section, options.preview, spec=spec)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidmodels data synth",
        description="Render synthetic videos with their truth into OUT/synthetic-KEY/SPLIT/. Equal options give equal files; "
        "what is there already is kept.",
    )
    parser.add_argument("out", metavar="OUT", help="folder to write to")
    parser.add_argument("--num-videos", type=positive, default=2000, metavar="N",
                        help="training videos; the other splits get a fifth of it, 10 at least (default: 2000)")  # fmt: skip
    parser.add_argument("--size", type=positive, default=32, metavar="S", help="side of the frame in pixels (default: 32)")
    parser.add_argument("--frames", type=positive, default=16, metavar="T", help="frames at 8 per second (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="equal seeds give equal videos (default: 0)")
    parser.add_argument("--split", default="all", choices=("all", *SPLITS), help="(default: all)")
    parser.add_argument("--hard", action="store_true", help="random polarity and full-contrast background")
    parser.add_argument("--sound", action="store_true", help="with a sound track, and classes that need it")
    parser.add_argument("--figures", action="store_true", help="articulated figures in place of shapes")
    parser.add_argument("--no-truth", action="store_true", help="leave out the table of boxes, keypoints and sentences")
    parser.add_argument("--preview", metavar="FILE.png", help="write a picture with a row for each class")
    return parser


def _processes() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
