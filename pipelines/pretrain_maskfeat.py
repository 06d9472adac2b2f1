"""Masked feature prediction on video or images: `python pipelines/pretrain_maskfeat.py [RECIPE] --data.path FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.program import run_program
from vidmodels.core.recipe import FeatureRecipe


def main() -> None:
    """Parse, train, register."""
    run_program("pretrain_maskfeat", FeatureRecipe, "maskfeat_tiny", _execute)


def _execute(invocation) -> int:
    from pipelines.common.execute import execute

    return execute(invocation)


if __name__ == "__main__":
    main()
