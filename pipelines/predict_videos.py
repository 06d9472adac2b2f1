"""Predictions or features of many videos: `python pipelines/predict_videos.py MODEL --data.path URI --out URI`."""

from __future__ import annotations

import sys
from pathlib import Path

# `ray job submit --working-dir .` runs this file without installing the package
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines.common.settings import PredictSettings, run_model_program


def main() -> None:
    """Parse and run."""
    run_model_program("predict_videos", PredictSettings, _execute)


def _execute(settings: PredictSettings) -> int:
    from pipelines.common.predict import predict

    return predict(settings)


if __name__ == "__main__":
    main()
