"""Stepwise expansion of X3D: `python pipelines/expand_x3d.py [RECIPE] --search.target-gmacs 0.6 ...`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.program import Search, run_program
from pipelines.common.search.settings import ExpandSection
from vidmodels.core.recipe import ClassifyRecipe


def main() -> None:
    """Parse, expand step by step, write the recipe of what was found."""
    run_program("expand_x3d", ClassifyRecipe, "x2d_tiny", _execute, search=Search(ExpandSection()))


def _execute(invocation) -> int:
    from pipelines.common.search.expand import expand_x3d

    return expand_x3d(invocation)


if __name__ == "__main__":
    main()
