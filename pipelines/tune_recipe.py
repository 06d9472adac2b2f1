"""A sweep over keys of a recipe: `python pipelines/tune_recipe.py RECIPE --space 'optim.lr=1e-4..1e-2:log' ...`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.program import Search, recipe_type_of, run_program
from pipelines.common.search.settings import SweepSection


def main() -> None:
    """Parse, train the trials, say which is best."""
    default = "x3d_tiny"
    run_program("tune_recipe", recipe_type_of(sys.argv[1:], default), default, _execute, search=Search(SweepSection()))


def _execute(invocation) -> int:
    from pipelines.common.search.sweep import tune_recipe

    return tune_recipe(invocation)


if __name__ == "__main__":
    main()
