"""`python -m tests.security [NAME ...]`: mutated videos, hostile requests and made-up requests, and what became of them."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


def main() -> int:
    """Run the attacks named, or all; 1 where one of them succeeded."""
    from tests.security.api import api
    from tests.security.corpus import corpus
    from tests.security.fuzz import videos
    from vidmodels.cli.asking import positive

    kinds = ("videos", "corpus", "api")
    parser = argparse.ArgumentParser(prog="python -m tests.security", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(kinds)}; none: all")
    parser.add_argument("--count", type=positive, default=2000, help="mutated videos (default 2000)")
    parser.add_argument("--examples", type=positive, default=400, help="made-up requests of a route at most (default 400)")
    parser.add_argument("--seed", type=int, default=0, help="of both (default 0)")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in kinds]:
        parser.error(f"there is no {unknown[0]!r}; there are: {', '.join(kinds)}")
    attacks = {
        "videos": lambda: videos(options.count, options.seed),
        "corpus": corpus,
        "api": lambda: api(options.examples, options.seed),
    }
    faults = [f"{name}: {words}" for name in options.names or kinds for words in attacks[name]()]
    for words in faults:
        print(f"FAULT {words}", flush=True)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
