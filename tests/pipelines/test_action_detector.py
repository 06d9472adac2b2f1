"""Training of a detector from its command line, without Ray: from boxes to a registered model that names actions."""

from __future__ import annotations

import json

import pytest
import torch

from pipelines.common.program import parse
from tests.data import videos
from tests.pipelines.programs import BARE
from vidmodels import zoo
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import AugmentSection, ClipSection, DetectRecipe, KeyFramesSection

HEADER = "video,time,x1,y1,x2,y2,label"
FAST = ("--data.clip.size", "32", "--data.clip.num-frames", "8", "--run.pictures", "False", "--schedule.max-steps", "2")


@pytest.fixture
def boxes(tmp_path):
    """Four videos with two people each, of two classes."""
    rows = [HEADER]
    for number in range(4):
        videos.write(tmp_path / f"{number}.mp4", 20, size=(32, 40))
        rows += [f"{number},0.4,2,2,18,28,run", f"{number},0.4,20,4,38,30,{'jump' if number % 2 else 'run'}"]
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def more(boxes, row):
    boxes.write_text(boxes.read_text() + row + "\n")
    return str(boxes)


def sentence(said, *parts):
    assert said.code in (1, 2), said.err
    assert len(said.err.strip().splitlines()) == 1, said.err
    for part in parts:
        assert part in said.err


def test_the_synthetic_world_trained_evaluated_and_drawn(programs):
    said = programs.detect("--run.lineage", "False", "--run.name", "d", "--schedule.max-steps", "2")
    assert said.code == 0, said.err
    assert "val_map" in said.out
    run = programs.home / "d"
    drawn = {"average_precision.png", "key_frames.png", "per_class.csv", "sample_batch.png", "report.html"}
    assert drawn <= {path.name for path in run.iterdir()}
    metrics = json.loads((run / "finished.json").read_text())["metrics"]
    assert (metrics["val_key_frames"], metrics["val_undecoded"]) == (10, 0)
    out = programs.home / "results"
    said = programs.evaluate_actions(str(run), "--data.synthetic.num-videos", "20", "--out", str(out))
    assert said.code == 0, said.err
    found = json.loads((out / "evaluation.json").read_text())
    assert found["map"] == pytest.approx(metrics["val_map"], abs=1e-6)
    assert found["boxes"] == metrics["val_boxes"]


def test_own_boxes_with_a_share_kept_for_validation(programs, boxes):
    said = programs.detect("--data.path", str(boxes), "--data.val-fraction", "0.5", "--run.name", "own", *FAST,
                           "--run.lineage", "False")  # fmt: skip
    assert said.code == 0, said.err
    about = zoo.read_metadata(programs.home / "own" / "model" / "model.safetensors")
    assert (about["task"], about["classes"]) == ("detect_actions", ["jump", "run"])
    again = programs.detect("--data.path", str(boxes), "--data.val-fraction", "0.5", "--run.name", "own", *FAST,
                            "--run.lineage", "False")  # fmt: skip
    assert "nothing to do" in again.out


def test_a_trained_detector_answers_for_a_video(programs, boxes):
    from vidmodels.data.formats.boxes import read_boxes
    from vidmodels.inference.action_predictor import ActionPredictor
    from vidmodels.predictors import make_predictor

    said = programs.detect("--data.path", str(boxes), "--run.name", "own", *FAST, "--run.lineage", "False")
    assert said.code == 0, said.err
    predictor = ActionPredictor(make_predictor(str(programs.home / "own")))
    result = predictor.predict(boxes.parent / "1.mp4", read_boxes(str(boxes)))
    assert result.classes == ("jump", "run")
    assert len(result.persons) == 2
    assert result.persons[0].scores.shape == (1, 2)


def test_a_classifiers_weights_start_the_backbone_and_the_head_is_new(programs, boxes, tmp_path):
    torch.manual_seed(1)
    ours = zoo.entry("slowfast_tiny_detector").config
    names = ("strides", "dilations", "width", "beta_inv", "lateral_kernel")
    settings = {"stem_pool": True, "num_classes": 7, **{name: ours[name] for name in names}}
    classifier = zoo.create_model("slowfast_tiny", **settings)
    path = zoo.save_weights(classifier, tmp_path / "classifier.safetensors")
    detector = zoo.create_model("slowfast_tiny_detector")
    assert sum(value.numel() for value in detector.parameters()) == detector.entry.params
    report = zoo.load_weights(detector, path, ("head.*",))
    assert set(report.new) == {"head.projection.weight", "head.projection.bias"}
    theirs = classifier.state_dict()
    different = [
        name for name, value in detector.backbone.state_dict().items() if not torch.equal(value, theirs[f"backbone.{name}"])
    ]
    assert not different
    said = programs.detect("--data.path", str(boxes), "--init", str(path), "--dry-run", *FAST)
    assert said.code == 0, said.err
    assert "one step went through" in said.out
    assert "2 new" in said.err


def test_missing_videos_are_counted(programs, boxes):
    more(boxes, "gone,0.4,2,2,18,28,run")
    said = programs.detect("--data.path", str(boxes), "--dry-run", *FAST)
    assert said.code == 0, said.err
    assert "1 of the videos that" in said.err
    assert "gone" in said.err


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("0,0.4,2,2,70,28,run", "lies outside of the 40x32 frame"),
        ("0,0.4,18,2,2,28,run", "inverted or empty"),
        ("0,77,2,2,18,28,run", "the key frame at 77 s is outside of"),
    ],
)
def test_wrong_boxes(programs, boxes, row, said):
    sentence(programs.detect("--data.path", more(boxes, row), *FAST, *BARE), "row 10", said)


def test_a_class_of_the_validation_boxes_that_training_never_saw(programs, boxes, tmp_path):
    val = tmp_path / "val.csv"
    val.write_text(f"{HEADER}\n0,0.4,2,2,18,28,swim\n")
    sentence(programs.detect("--data.path", str(boxes), "--data.val-path", str(val), *FAST, *BARE), "'swim'", "2 classes")


def test_classes_that_changed_between_start_and_resume(programs, boxes):
    words = ("--data.path", str(boxes), "--run.name", "own", *FAST, "--run.lineage", "False")
    assert programs.detect(*words).code == 0
    more(boxes, "0,0.4,2,2,18,28,swim")
    sentence(programs.detect(*words), "own", "classes")


def test_a_classifiers_recipe_and_model(programs):
    with pytest.raises(ConfigError, match=r"unknown recipe 'slowfast_tiny'.*there are: .*slowfast_tiny_detector"):
        parse(["slowfast_tiny"], "train_action_detector", DetectRecipe, "slowfast_tiny_detector")
    sentence(programs.detect("--model.name", "slowfast_tiny", *BARE), "'slowfast_tiny' is made for classify")


def test_changes_that_leave_boxes_behind(programs, boxes):
    sentence(programs.detect("--data.path", str(boxes), "--data.augment.mixup", "0.8", *FAST, *BARE), "mixup")


def test_settings_of_the_data():
    with pytest.raises(ValueError, match="lie around key frames"):
        KeyFramesSection(clip=ClipSection(sampling="uniform"))
    data = DetectRecipe(data=KeyFramesSection(augment=AugmentSection(flip=0.0))).data
    assert data.is_synthetic
    assert not data.replace(path="boxes.csv").is_synthetic
