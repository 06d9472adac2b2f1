"""Models of several label sets as files, and what predictors say of them."""

from __future__ import annotations

import pytest
import torch

from tests.data import videos
from tests.inference.export.conftest import small
from vidmodels.core.errors import ConfigError
from vidmodels.core.label_sets import LabelSets
from vidmodels.inference.explain import explain_video
from vidmodels.inference.export import export_model, open_exported
from vidmodels.inference.predictor import Predictor
from vidmodels.predictors import make_predictor

SETS = LabelSets({"verb": ("take", "cut"), "noun": ("cup", "knife", "pan")})


@pytest.fixture(scope="module")
def kitchen():
    return small(num_classes=SETS.sizes)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return videos.write(tmp_path_factory.mktemp("video") / "a.mp4", 30, size=(32, 40))


@pytest.mark.parametrize("format", ["onnx", "torch-export"])
def test_exported_files_keep_the_sets(format, kitchen, video, tmp_path):
    path = tmp_path / ("two.onnx" if format == "onnx" else "two.pt2")
    report = export_model(kitchen, path, format, about={"classes": list(SETS)}, rounds=1)
    assert report.error < 1e-5
    assert open_exported(path).label_sets == {"noun": 3, "verb": 2}
    found, eager = make_predictor(str(path)).predict(video), Predictor(kitchen, classes=SETS).predict(video)
    assert found.scores == pytest.approx(eager.scores, abs=1e-4)
    assert {name: [entry.name for entry in top] for name, top in found.tops(1).items()} == {
        name: [entry.name for entry in top] for name, top in eager.tops(1).items()
    }


def test_scores_of_each_set_and_their_names(kitchen, video):
    result = Predictor(kitchen, classes=["cup", "knife", "pan", "take", "cut"]).predict(video, num_clips=3)
    tops = result.tops(5)
    assert {name: {entry.name for entry in top} for name, top in tops.items()} == {
        "noun": {"cup", "knife", "pan"}, "verb": {"take", "cut"},
    }  # fmt: skip
    for top in tops.values():
        assert sum(entry.score for entry in top) == pytest.approx(1, abs=1e-5)
        assert [entry.score for entry in top] == sorted((entry.score for entry in top), reverse=True)
    assert result.to_dict(1)["windows"][0]["top"].keys() == {"noun", "verb"}
    unnamed = Predictor(kitchen).predict(video)
    assert unnamed.classes == ("noun: class 0", "noun: class 1", "noun: class 2", "verb: class 0", "verb: class 1")
    with pytest.raises(ConfigError, match="3 class names were given for the 5 classes"):
        Predictor(kitchen, classes=["a", "b", "c"])


def test_a_class_of_one_set_is_explained(kitchen, video):
    window = next(explain_video(Predictor(kitchen, classes=SETS), video, "verb: cut"))
    clip = torch.from_numpy(window.frames)[None].permute(0, 4, 1, 2, 3)
    assert window.name == "verb: cut"
    assert clip.shape[2] == kitchen.input.num_frames
    scores = Predictor(kitchen, classes=SETS).scores(window.frames[None])
    assert window.score == pytest.approx(scores[0, 4], abs=1e-5)
