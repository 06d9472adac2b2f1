"""Several label sets through the programs: training, its report, evaluation, predictions, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import vidmodels
from pipelines.common.label_maps import for_model, label_maps, labels_for_model
from tests.data import videos
from vidmodels import zoo
from vidmodels.cli.main import main as cli
from vidmodels.core.errors import DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.data.manifest import Manifest
from vidmodels.training.evaluation import Scores, summarise

RECIPE = "slowfast_tiny_two_heads"
SETS = LabelSets({"verb": ("take", "cut"), "noun": ("cup", "knife", "pan")})


@pytest.fixture
def kitchen(tmp_path):
    """Eight videos with a verb and a noun; the last has no verb."""
    items = []
    for number in range(8):
        videos.write(tmp_path / f"{number}.mp4", 20, size=(32, 40))
        labels = {"noun": SETS.sets["noun"][number % 3], "verb": SETS.sets["verb"][number % 2]}
        if number == 7:
            del labels["verb"]
        items.append({"path": f"{number}.mp4", "labels": labels})
    path = tmp_path / "kitchen.json"
    path.write_text(json.dumps(items))
    return path


def test_train_evaluate_and_predict(programs, kitchen, tmp_path, capsys):
    torch.manual_seed(3)
    start = zoo.save_weights(vidmodels.create_model("slow_tiny", num_classes=7), tmp_path / "one.safetensors")
    words = ("--data.path", str(kitchen), "--data.val-path", str(kitchen), "--run.lineage", "False")
    said = programs.classify("--init", str(start), *words, recipe="slow_tiny")
    assert said.code == 0, said.err
    assert "1 of the 8 videos of" in said.err
    assert "have no verb: they count in the other label sets" in said.err
    assert "new      head.projection.noun.weight, head.projection.noun.bias" in said.err
    assert "head.projection.bias, head.projection.weight: the model has no such part" in said.err
    assert "val_verb_top1" in said.out
    assert "val_action_top1" in said.out

    (run,) = programs.runs("train_classifier")
    names = {path.name for path in run.iterdir()}
    assert {"noun_per_class.csv", "verb_per_class.csv", "noun_confusion_matrix.png", "slices.csv"} <= names
    report = (run / "report.html").read_text()
    assert "3 classes of noun" in report
    assert "2 classes of verb" in report
    model = run / "model" / "model.safetensors"
    assert zoo.read_metadata(model)["classes"] == ["noun: cup", "noun: knife", "noun: pan", "verb: cut", "verb: take"]

    views = ("--evaluation.num-clips", "2", "--evaluation.num-crops", "3")
    said = programs.evaluate(str(model), "--data.path", str(kitchen), "--out", str(tmp_path / "found"), *views)
    assert said.code == 0, said.err
    found = json.loads((tmp_path / "found" / "evaluation.json").read_text())
    assert (found["videos"], found["without_verb"], found["views"]) == (8, 1, "2 x 3")
    assert {"noun_top1", "noun_top3", "verb_top1", "action_top1", "action_top5"} <= found.keys()
    assert "noun:\n" in said.out
    assert "  pan " in said.out

    said = programs.predict(str(model), "--data.path", str(kitchen), "--out", str(tmp_path / "all"), "--top", "2")
    assert said.code == 0, said.err
    table = pq.read_table(tmp_path / "all" / "part-00000.parquet")
    assert set(table["noun_classes"][0].as_py()) < {"cup", "knife", "pan"}
    assert sum(table["verb_scores"][7].as_py()) == pytest.approx(1)

    video = str(tmp_path / "0.mp4")
    assert cli(["predict", str(model), video, "--json", "-"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert set(answer["top"]) == {"noun", "verb"}
    assert sum(entry["score"] for entry in answer["top"]["noun"]) == pytest.approx(1, abs=1e-5)
    assert cli(["predict", str(model), video, "--out", str(tmp_path / "drawn"), "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[1], lines[3]) == ("  noun", "  verb")
    assert (tmp_path / "drawn" / "0.mp4").exists()


def test_classes_that_changed_between_two_starts(programs, kitchen):
    words = ("--data.path", str(kitchen), "--run.name", "mine", "--run.lineage", "False", "--run.pictures", "False")
    assert programs.classify(*words, recipe="slow_tiny").code == 0
    kitchen.write_text(kitchen.read_text().replace("cut", "wash"))
    said = programs.classify(*words, recipe="slow_tiny")
    assert said.code == 1
    assert "classes: 1 gone, such as 'verb: cut' and 1 new, such as 'verb: wash'" in said.err


def test_the_synthetic_world_has_two_label_sets(programs):
    said = programs.classify("--run.lineage", "False", "--run.pictures", "False", recipe=RECIPE)
    assert said.code == 0, said.err
    (run,) = programs.runs("train_classifier")
    _, about = zoo.load_model(run / "model" / "model.safetensors")
    assert about["settings"]["num_classes"] == {"color": 7, "motion": 10}


def manifest_of(sets: dict[str, tuple[str, ...]], rows: list[dict[str, int]]) -> Manifest:
    columns = [{f"label.{name}": number for name, number in row.items()} for row in rows]
    return Manifest.from_rows([{"id": str(i), "uri": f"{i}.mp4", **row} for i, row in enumerate(columns)], LabelSets(sets))


def test_labels_are_matched_by_the_names_of_sets_and_classes():
    data = manifest_of({"verb": ("cut", "take")}, [{"verb": 0}, {"verb": -1}])
    maps = label_maps(data, SETS)
    assert maps == {"verb": {0: 1, 1: 0}}
    rows = [{"label": [0]}, {"label": [-1]}]
    assert labels_for_model(rows, maps, SETS).tolist() == [[-1, 1], [-1, -1]]
    plain = data.only("verb")
    assert label_maps(plain, SETS, "verb") == maps
    assert labels_for_model([{"label": 1}], maps, SETS).tolist() == [[-1, 0]]


def test_a_model_of_one_set_is_evaluated_on_the_set_that_it_knows():
    data = manifest_of({"verb": ("cut", "take"), "noun": ("cup",)}, [{"verb": 1, "noun": 0}])
    assert for_model(data, ("take", "wash", "cut")).classes == ("cut", "take")
    assert for_model(data, SETS) is data
    with pytest.raises(DataError, match=r"the data have the label sets noun, verb, and the model has one: choose the one"):
        for_model(data, ("run", "jump"))


@pytest.mark.parametrize(
    ("sets", "label", "message"),
    [
        ({"tool": ("saw",)}, None, "the model has no label set 'tool', which the data have: it has noun, verb"),
        ({"verb": ("saw",)}, None, "the model does not know 1 of the 1 classes of the data, the first is 'saw'; it knows take"),
        (None, None, "the data have one set of labels, the model noun, verb: say which it is with data.label"),
        (None, "tool", "the model has no label set 'tool', which the data have"),
    ],
)
def test_sets_and_classes_that_the_model_does_not_know(sets, label, message):
    rows = [{"id": "a", "uri": "a.mp4", "label": 0}]
    data = Manifest.from_rows(rows, ("take",)) if sets is None else manifest_of(sets, [])
    with pytest.raises(DataError, match=message):
        label_maps(data, SETS, label)


def scores_of(rows: list[tuple[int, int]], labels: list[tuple[int, int]]) -> Scores:
    """Scores that are sure of a noun and a verb."""
    values = np.full((len(rows), 5), 0.1, np.float32)
    for place, (noun, verb) in enumerate(rows):
        values[place, [noun, 3 + verb]] = 0.8
    return Scores([str(i) for i in range(len(rows))], values, np.array(labels), facts=np.ones((len(rows), 4)))


def test_accuracies_of_each_set_and_of_all_at_once():
    found = summarise(scores_of([(0, 0), (1, 1), (2, 0), (0, 1)], [(0, 0), (1, 0), (0, -1), (0, 1)]), SETS)
    shares = {"noun_top1": 3 / 4, "verb_top1": 2 / 3, "action_top1": 2 / 3, "action_top5": 1.0, "without_verb": 1, "videos": 4}
    assert {key: found.metrics[key] for key in shares} == pytest.approx(shares)
    assert found.sets["verb"].confusion.tolist() == [[1, 1], [0, 1]]
    assert [row.support for row in found.sets["noun"].per_class] == [3, 1, 0]
    assert [row.videos for row in found.slices] == [3, 3, 3, 3]


def test_sets_without_any_label_are_left_out():
    found = summarise(scores_of([(0, 0), (1, 1)], [(0, -1), (1, -1)]), SETS)
    assert list(found.sets) == ["noun"]
    assert not {"action_top1", "verb_top1"} & found.metrics.keys()
    with pytest.raises(DataError, match="no video could be evaluated: none of them has a label"):
        summarise(scores_of([(0, 0)], [(-1, -1)]), SETS)
