"""Training of a video classifier: `python pipelines/train_classifier.py [RECIPE] --data.path FOLDER [--init WEIGHTS]`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.program import run_program
from vidmodels.core.recipe import ClassifyRecipe


def main() -> None:
    """Parse, train, register."""
    run_program("train_classifier", ClassifyRecipe, "mae_st_tiny_classifier", _execute)


def _execute(invocation) -> int:
    from pipelines.common.execute import execute

    return execute(invocation)


if __name__ == "__main__":
    main()
