"""Calling the programs as a user does, in this process, with models and data that take seconds."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.common.evaluate import evaluate
from pipelines.common.evaluate_actions import EvaluateActionsSettings, evaluate_actions
from pipelines.common.execute import execute
from pipelines.common.predict import predict
from pipelines.common.program import Search, recipe_type_of, run_program
from pipelines.common.search.settings import ExpandSection, MaskingSection, SweepSection
from pipelines.common.settings import EvaluateSettings, PredictSettings, run_model_program
from vidmodels.core.recipe import ClassifyRecipe, ContrastiveRecipe, DetectRecipe, FeatureRecipe, MaskedRecipe

QUICK = ("--run.backend", "local", "--run.decoders", "0", "--run.log-every", "2", "--schedule.batch-size", "4",
         "--schedule.max-steps", "4", "--train.checkpoint-every", "2", "--train.precision", "float32",
         "--data.synthetic.num-videos", "20")  # fmt: skip
BARE = ("--run.lineage", "False", "--run.pictures", "False")


@dataclass
class Answer:
    """What a program said and how it ended."""

    code: int
    out: str
    err: str


class Programs:
    """The programs; `home` is their storage."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.home, self._capture = home, capture

    def pretrain(self, *words: str) -> Answer:
        return self._call(lambda: run_program("pretrain_mae", MaskedRecipe, "mae_st_tiny", execute, (*QUICK, *words)))

    def pretrain_features(self, *words: str) -> Answer:
        argv = (*QUICK, *words)
        return self._call(lambda: run_program("pretrain_maskfeat", FeatureRecipe, "maskfeat_tiny", execute, argv))

    def pretrain_contrastive(self, *words: str, recipe: str = "rho_moco_tiny") -> Answer:
        argv = (recipe, *QUICK, "--data.clip.num-frames", "4", *words)
        return self._call(lambda: run_program("pretrain_contrastive", ContrastiveRecipe, "rho_moco_tiny", execute, argv))

    def classify(self, *words: str, recipe: str = "mae_st_tiny_classifier") -> Answer:
        argv = (recipe, *QUICK, *words)
        return self._call(lambda: run_program("train_classifier", ClassifyRecipe, "mae_st_tiny_classifier", execute, argv))

    def classify_file(self, path: Path, *words: str) -> Answer:
        """The trainer with a recipe from a file."""
        argv = ("--recipe", str(path), *QUICK, *words)
        return self._call(lambda: run_program("train_classifier", ClassifyRecipe, "mae_st_tiny_classifier", execute, argv))

    def detect(self, *words: str) -> Answer:
        argv = ("slowfast_tiny_detector", *QUICK, *words)
        return self._call(lambda: run_program("train_action_detector", DetectRecipe, "slowfast_tiny_detector", execute, argv))

    def tune(self, *words: str, recipe: str = "x3d_tiny") -> Answer:
        from pipelines.common.search.sweep import tune_recipe

        argv, search = (recipe, *QUICK, *words), Search(SweepSection())
        return self._call(
            lambda: run_program("tune_recipe", recipe_type_of(argv, recipe), recipe, tune_recipe, argv, search=search)
        )

    def tune_masking(self, *words: str) -> Answer:
        from pipelines.common.search.masking import tune_masking

        argv, search = (*QUICK, *words), Search(MaskingSection())
        return self._call(lambda: run_program("tune_masking", MaskedRecipe, "mae_st_tiny", tune_masking, argv, search=search))

    def expand(self, *words: str) -> Answer:
        from pipelines.common.search.expand import expand_x3d

        argv, search = (*QUICK, *words), Search(ExpandSection())
        return self._call(lambda: run_program("expand_x3d", ClassifyRecipe, "x2d_tiny", expand_x3d, argv, search=search))

    def evaluate_actions(self, *words: str) -> Answer:
        argv = (*words, "--run.backend", "local")
        return self._call(lambda: run_model_program("evaluate_model", EvaluateActionsSettings, evaluate_actions, argv))

    def evaluate(self, *words: str) -> Answer:
        argv = (*words, "--run.backend", "local")
        return self._call(lambda: run_model_program("evaluate_model", EvaluateSettings, evaluate, argv))

    def predict(self, *words: str) -> Answer:
        argv = (*words, "--run.backend", "local")
        return self._call(lambda: run_model_program("predict_videos", PredictSettings, predict, argv))

    def runs(self, program: str) -> list[Path]:
        """Folders of the program's runs, without those that were set aside."""
        return sorted(p for p in self.home.glob(f"{program}-*") if ".old-" not in p.name)

    def _call(self, body) -> Answer:
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            body()
        said = self._capture.readouterr()
        return Answer(ended.value.code or 0, said.out, said.err)  # type: ignore[arg-type]


@contextlib.contextmanager
def sigterm_half_way():
    """SIGTERM at the loop's first report of metrics, half-way of `QUICK`'s four steps."""

    def at_first_line(frame, event, arg):
        if event == "call" and frame.f_code.co_name == "on_metrics" and "watch.py" in frame.f_code.co_filename:
            sys.setprofile(None)
            os.kill(os.getpid(), signal.SIGTERM)

    sys.setprofile(at_first_line)
    try:
        yield
    finally:
        sys.setprofile(None)


def sentence(said: Answer, *parts: str) -> None:
    """The program ended with a code that is not 0 and one sentence that has these parts."""
    assert said.code in (1, 2), said
    last = said.err.strip().splitlines()[-1]
    for part in parts:
        assert part in last, said.err
    assert "Traceback" not in said.err
