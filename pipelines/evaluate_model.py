"""Evaluation of a classifier or a detector of actions: `python pipelines/evaluate_model.py MODEL --data.path DATA`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.evaluate_actions import EvaluateActionsSettings, is_detector
from pipelines.common.settings import EvaluateSettings, run_model_program


def main() -> None:
    """Parse and run; what there is to be set depends on what the model was made for."""
    if is_detector(sys.argv[1:]):
        run_model_program("evaluate_model", EvaluateActionsSettings, _execute_actions)
    run_model_program("evaluate_model", EvaluateSettings, _execute)


def _execute(settings: EvaluateSettings) -> int:
    from pipelines.common.evaluate import evaluate

    return evaluate(settings)


def _execute_actions(settings: EvaluateActionsSettings) -> int:
    from pipelines.common.evaluate_actions import evaluate_actions

    return evaluate_actions(settings)


if __name__ == "__main__":
    main()
