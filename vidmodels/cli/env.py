"""`vidmodels env`: versions and hardware, to be pasted into reports of faults."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence

from vidmodels.cli.output import print_fields, print_json


def run(argv: Sequence[str]) -> int:
    """`vidmodels env [--json]`."""
    parser = argparse.ArgumentParser(
        prog="vidmodels env", description="Show versions and hardware, for reports of faults. Names no host and no path."
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    options = parser.parse_args(list(argv))

    from vidmodels.visual.environment import environment

    with contextlib.suppress(ImportError):  # then it is listed as not installed
        import torch  # noqa: F401  accelerators are named where torch is loaded

    facts = environment()
    if options.json:
        print_json(facts)
    else:
        print_fields(facts)
    return 0
