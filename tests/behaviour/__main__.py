"""`python -m tests.behaviour NAME...`: print a study's table as it grows; the same command goes on where it stopped."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.behaviour.runs import Lab
from tests.behaviour.studies import STUDIES
from vidmodels.cli.asking import positive


def main() -> int:
    """Run the studies named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.behaviour", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(STUDIES)}; none: all")
    parser.add_argument("--seeds", type=positive, default=3, help="seeds 0 .. N - 1 (default 3)")
    parser.add_argument("--out", default="runs/behaviour", help="folder of the runs (default runs/behaviour)")
    parser.add_argument("--decoders", type=int, default=1, help="decoding processes; 0 takes one core in all (default 1)")
    parser.add_argument("--jobs", type=positive, default=1, help="runs side by side (default 1)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in STUDIES]
    if unknown:
        parser.error(f"unknown study {unknown[0]!r}; there are: {', '.join(STUDIES)}")
    lab = Lab(Path(options.out).absolute(), decoders=options.decoders, jobs=options.jobs)
    for name in options.names or STUDIES:
        study, started = STUDIES[name], time.monotonic()
        print(f"### {name}\n\n{(study.__doc__ or '').strip()}\n\n| | accuracy, seeds 0 .. {options.seeds - 1} |\n|---|---|")
        for row in study(lab, range(options.seeds)):
            print(row.text(), flush=True)
        print(f"\n{(time.monotonic() - started) / 60:.0f} minutes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
