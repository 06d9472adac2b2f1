"""From a trained detector of actions by its name in the registry to its evaluation and answers; without Ray."""

from __future__ import annotations

import json
import sys

import pytest

from pipelines.common.boxed_sources import load_boxed
from pipelines.evaluate_model import main as evaluate_model
from tests.data import videos
from vidmodels import zoo
from vidmodels.cli.main import main as cli
from vidmodels.core.recipe import ClipSection, DetectRecipe
from vidmodels.data.boxed_reader import WholeFrameReader
from vidmodels.data.formats.boxed import BoxesFormat, Names, listed
from vidmodels.inference.action_predictor import ActionPredictor
from vidmodels.predictors import make_predictor
from vidmodels.training.action_evaluation import score_key_frames

PUBLISHED = [name for name in zoo.recipes(DetectRecipe) if name.endswith("_ava")]
TINY = ("--data.clip.size", "32", "--data.clip.num-frames", "8", "--data.clip.frame-stride", "2", "--data.clip.fps", "15",
        "--run.pictures", "False", "--schedule.max-steps", "2", "--run.register-as", "acts", "--run.alias", "best")  # fmt: skip


@pytest.fixture
def boxes(tmp_path):
    """Four videos of 40 x 32 pixels with two people each, at one or two moments, of two classes, as shares of the frame."""
    rows = ["video,time,x1,y1,x2,y2,label,person"]
    for number in range(4):
        videos.write(tmp_path / f"{number}.mp4", 60, size=(32, 40))
        for time in (0.5, 1.5)[: 1 + number % 2]:
            rows += [f"{number},{time},0.05,0.06,0.45,0.9,run,anna", f"{number},{time},0.5,0.1,0.95,0.94,jump,ben"]
    path = tmp_path / "boxes.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def registered(programs, boxes):
    said = programs.detect("--data.path", str(boxes), "--data.normalised", "True", *TINY)
    assert said.code == 0, said.err
    assert "registered as models:/acts@best" in said.out
    return programs


def test_classes_and_clips_are_kept_with_the_model(registered):
    opened = make_predictor("models:/acts@best")
    assert opened.classes == ("jump", "run")
    spec = opened.spec
    assert (spec.num_frames, spec.frame_stride, spec.size, spec.view_size, spec.fps) == (8, 2, 32, 32, 15)


def test_evaluate_and_ask_by_alias(registered, boxes, tmp_path, monkeypatch, capsys):
    words = ("models:/acts@best", "--data.path", str(boxes), "--data.normalised", "True", "--run.backend", "local")
    monkeypatch.setattr(sys, "argv", ["evaluate_model.py", *words, "--out", str(tmp_path / "found")])
    with pytest.raises(SystemExit) as ended:
        evaluate_model()
    assert not ended.value.code, capsys.readouterr().err
    found = json.loads((tmp_path / "found" / "evaluation.json").read_text())
    assert (found["key_frames"], found["boxes"], found["undecoded"]) == (6, 12, 0)
    assert "12 boxes in 6 of 6 key frames" in capsys.readouterr().out

    ask = ["detect-actions", "models:/acts@best", str(tmp_path / "1.mp4"), "--boxes", str(boxes), "--normalised"]
    assert cli([*ask, "--json", "-"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["classes"] == ["jump", "run"]
    assert [person["name"] for person in answer["persons"]] == ["anna", "ben"]
    for person in answer["persons"]:
        assert [action["time"] for action in person["actions"]] == [0.5, 1.5]


def test_both_programs_compute_the_same_scores(registered, boxes, tmp_path, capsys):
    """The clip around a key frame and its frames' size are one thing, whoever asks."""
    model, about = zoo.load_model("models:/acts@best")
    table = BoxesFormat(normalised=True).read(str(boxes), Names(tuple(about["classes"])))
    manifest = listed(table, None)
    evaluated = score_key_frames(model, WholeFrameReader(manifest, ClipSection(**about["clip"]), 32), range(len(manifest)))
    result = ActionPredictor(make_predictor("models:/acts@best")).predict(tmp_path / "1.mp4", table)
    for moment, index in enumerate(i for i, (video, _) in enumerate(table.frames) if video == "1"):
        asked = [person.scores[moment] for person in result.persons]
        assert asked == pytest.approx(evaluated.scores[index], abs=1e-4)


def test_the_classes_that_count_are_kept_with_the_model(programs, boxes, tmp_path):
    """A label map of an evaluation names only those."""
    names = tmp_path / "map.pbtxt"
    names.write_text('item { name: "run" id: 1 }\nitem { name: "jump" id: 3 }\n')
    (tmp_path / "ava.csv").write_text("0,0902,0.05,0.06,0.45,0.9,1,0\n0,0902,0.5,0.1,0.95,0.94,2,1\n")
    videos.write(tmp_path / "0.mp4", 80, size=(32, 40))
    data = ("--data.path", str(tmp_path / "ava.csv"), "--data.classes", str(names))
    said = programs.detect(*data, *TINY, "--run.lineage", "False", "--run.name", "ava")
    assert said.code == 0, said.err
    run = str(programs.home / "ava")
    said = programs.evaluate_actions(run, "--data.path", str(tmp_path / "ava.csv"), "--out", str(tmp_path / "found"))
    assert said.code == 0, said.err
    rows = (tmp_path / "found" / "per_class.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["run", "jump"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipes_take_boxes_of_your_own(boxes, name):
    data = zoo.recipes(DetectRecipe)[name]().data.replace(path=str(boxes), normalised=True)
    sources = load_boxed(data, str(boxes.parent))
    assert sources.classes == ("jump", "run")
    assert len(sources.train[0]) == 6
