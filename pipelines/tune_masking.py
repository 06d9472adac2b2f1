"""Ratio x sampling x decoder of masked pre-training: `python pipelines/tune_masking.py [RECIPE] --search.ratios 0.5,0.9`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.program import Search, run_program
from pipelines.common.search.settings import MaskingSection
from vidmodels.core.recipe import MaskedRecipe


def main() -> None:
    """Parse, pre-train the trials, compare their encoders."""
    run_program("tune_masking", MaskedRecipe, "mae_st_tiny", _execute, search=Search(MaskingSection()))


def _execute(invocation) -> int:
    from pipelines.common.search.masking import tune_masking

    return tune_masking(invocation)


if __name__ == "__main__":
    main()
