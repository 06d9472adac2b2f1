"""Persistent contrastive learning on video: `python pipelines/pretrain_contrastive.py [RECIPE] --data.path FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.program import run_program
from vidmodels.core.recipe import ContrastiveRecipe


def main() -> None:
    """Parse, train, register."""
    run_program("pretrain_contrastive", ContrastiveRecipe, "rho_moco_tiny", _execute)


def _execute(invocation) -> int:
    from pipelines.common.execute import execute

    return execute(invocation)


if __name__ == "__main__":
    main()
