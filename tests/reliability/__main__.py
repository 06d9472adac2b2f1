"""`python -m tests.reliability [NAME ...]`: what the services promise under load and faults, measured on this machine."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


def main() -> int:
    """Run the promises named, or all; 1 where one is broken."""
    from tests.reliability.serving import PROMISES

    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PROMISES)}; none: all")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in PROMISES]:
        parser.error(f"there is no {unknown[0]!r}; there are: {', '.join(PROMISES)}")
    broken = [f"{name}: {words}" for name in options.names or PROMISES for words in PROMISES[name]()]
    for words in broken:
        print(f"BROKEN {words}", flush=True)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
