"""Multi-view evaluation of a classifier: `python pipelines/evaluate_model.py MODEL --data.path FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.settings import EvaluateSettings, run_model_program


def main() -> None:
    """Parse and run."""
    run_model_program("evaluate_model", EvaluateSettings, _execute)


def _execute(settings: EvaluateSettings) -> int:
    from pipelines.common.evaluate import evaluate

    return evaluate(settings)


if __name__ == "__main__":
    main()
