"""`pretrain_maskfeat.py` from its command line: all targets, its picture, what starts from its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.pipelines.programs import BARE
from vidmodels import zoo


class Scores(nn.Module):
    """A stand-in for a discrete autoencoder: each token's mean colour, projected by fixed numbers."""

    outputs = 12

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, self.outputs, generator=torch.Generator().manual_seed(0)))

    def forward(self, clips: Tensor, grid: tuple[int, int, int]) -> Tensor:
        return nn.functional.adaptive_avg_pool3d(clips, grid).flatten(2).transpose(1, 2) @ self.weight


def without_outputs() -> nn.Module:
    return nn.Identity()


OWN = "tests.pipelines.test_masked_features"


@pytest.fixture
def teacher(tmp_path) -> tuple[str, ...]:
    """Words that name a classifier of the zoo as the teacher."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    state = {key: value.contiguous() for key, value in zoo.create_model("i3d_tiny").state_dict().items()}
    save_file(state, tmp_path / "teacher.safetensors")
    return "--task.teacher", "i3d_tiny", "--task.teacher-weights", str(tmp_path / "teacher.safetensors")


def losses(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_histograms_a_picture_and_a_classifier_that_starts_from_it(programs):
    said = programs.pretrain_features("--run.lineage", "False")
    assert said.code == 0, said.err
    (run,) = programs.runs("pretrain_maskfeat")
    assert (run / "features.png").stat().st_size > 10_000
    model = str(run / "model" / "model.safetensors")
    said = programs.classify("--init", model, *BARE, recipe="maskfeat_tiny_classifier")
    assert said.code == 0, said.err
    assert "head.norm.weight" in said.err + said.out


def test_nearest_neighbours_are_its_evaluation_where_that_is_asked_for(programs):
    said = programs.pretrain_features("--task.knn-videos", "10", "--train.eval-every-epochs", "0.5", *BARE)
    assert said.code == 0, said.err
    (run,) = programs.runs("pretrain_maskfeat")
    metrics = json.loads((run / "finished.json").read_text())["metrics"]
    assert 0 <= metrics["val_top1"] <= metrics["val_top5"] <= 1
    assert metrics["val_videos"] > 0


@pytest.mark.parametrize("sampling", ["cube", "tube", "frame", "uniform"])
def test_all_maskings_with_pixels(programs, sampling):
    said = programs.pretrain_features("--task.target", "pixel", "--task.mask-sampling", sampling, *BARE)
    assert said.code == 0, said.err


@pytest.mark.parametrize("target", ["feature", "label"])
def test_a_teacher_of_the_zoo(programs, teacher, target):
    said = programs.pretrain_features("--task.target", target, *teacher, *BARE)
    assert said.code == 0, said.err


@pytest.mark.parametrize("target", ["code", "feature", "label"])
def test_a_teacher_of_ones_own(programs, target):
    said = programs.pretrain_features("--task.target", target, "--task.teacher", f"{OWN}:Scores", *BARE)
    assert said.code == 0, said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task.target", "code"), "target 'code' needs a teacher: name a model of the zoo or MODULE:FUNCTION"),
        (("--task.teacher", "i3d_tiny"), "target 'hog' is computed from the pixels: leave out the teacher"),
        (("--task.target", "code", "--task.teacher", "i3d_tiny"), "no model of the zoo is a discrete autoencoder"),
        (
            ("--task.target", "label", "--task.teacher", "i3d_tiny"),
            "would teach its initial weights: give task.teacher_weights",
        ),
        (("--task.target", "label", "--task.teacher", "no.such:thing"), "task.teacher 'no.such:thing' cannot be imported"),
        (
            ("--task.target", "label", "--task.teacher", f"{OWN}:without_outputs"),
            "gives no network with an attribute `outputs`",
        ),
        (
            ("--task.target", "label", "--task.teacher", "maskfeat_tiny_pretrain", "--task.teacher-weights", "x"),
            "no weights file at x",
        ),
        (("--data.clip.size", "36"), "36 x 36 pixels are not whole cells of 8"),
        (("--task.mask-ratio", "1"), "mask_ratio"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(programs, words, message):
    said = programs.pretrain_features(*words, *BARE)
    assert said.code in (1, 2)
    assert message in said.err
    assert not any((run / "checkpoints").exists() for run in programs.runs("pretrain_maskfeat"))
