"""What a decoder makes of a real video with a real model, without Serve: the same as the predictors of the library."""

from __future__ import annotations

import asyncio
import dataclasses

import numpy as np
import pytest

from services.catalogue import info_of
from services.decoding.answers import ANSWERS, Job, Tools
from services.models.served import Call, ServedModel, Wanted, compute_all
from services.settings import LimitSection
from services.tasks import TASKS, options_of
from tests.data.videos import write
from vidmodels import zoo
from vidmodels.core.errors import ConfigError, DataError, MediaLimitError, WeightsError
from vidmodels.data.formats.boxes import read_boxes
from vidmodels.data.nursery import Nursery
from vidmodels.inference.action_predictor import ActionPredictor
from vidmodels.inference.predictor import Predictor
from vidmodels.inference.reading import HANDLER

NAMES = {"classifier": "c2d_tiny", "hearing": "avslowfast_tiny", "detector": "slowfast_tiny_detector"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("answers")


@pytest.fixture(scope="module")
def models(folder):
    """Models with random weights, as a replica holds them."""
    found = {}
    for name, entry in NAMES.items():
        path = zoo.save_weights(zoo.create_model(entry), folder / f"{name}.safetensors")
        found[name] = ServedModel(Wanted(name, name, "1", str(path)), "cpu")
    return found


@pytest.fixture(scope="module")
def video(folder):
    rng = np.random.default_rng(0)
    sound = (0.3 * rng.standard_normal(32_000)).astype(np.float32)
    return write(folder / "spooled-name", count=60, fps=30, size=(64, 80), sound=sound, format="mp4")


@pytest.fixture
def ask(models, video):
    """Ask for a task as the decoder's replica does."""
    nursery = Nursery(HANDLER)
    nursery.start()

    async def compute(call: Call):
        return dict(compute_all(models, [call]))[0]

    def one(task: str, model: str, most: int = 1200, path=video, **fields):
        info = info_of(models[model].info("app").to_dict())
        options = options_of(TASKS[task], fields)
        job = Job(task, str(path), "clip.mp4", info, options, LimitSection().of_media(), most)
        return asyncio.run(ANSWERS[task](job, Tools(nursery, compute)))

    yield one
    nursery.close()


def test_classes_are_those_of_the_predictor(ask, models, video):
    predictor = models["classifier"].predictor
    views = ask("classify", "classifier", num_clips="3", num_crops="3")
    assert views["scores"] == pytest.approx(predictor.predict(video, 3, 3).scores.tolist(), abs=1e-5)
    windows = ask("classify", "classifier", stride="0.25")["windows"]
    streamed = list(predictor.stream(video, stride=0.25))
    assert [w["start"] for w in windows] == pytest.approx([r.windows[0].start for r in streamed], abs=1e-5)
    assert np.array([w["scores"] for w in windows]) == pytest.approx(np.array([r.scores for r in streamed]), abs=1e-5)


def test_a_model_that_hears_gets_the_sound(ask, models, video):
    answer = ask("classify", "hearing", num_clips="2")
    expected = models["hearing"].predictor.predict(video, 2)
    assert answer["scores"] == pytest.approx(expected.scores.tolist(), abs=1e-5)
    assert answer["sound"] == expected.sound == "with sound"
    silent = write(video.with_name("silent"), count=60, fps=30, size=(64, 80), format="mp4")
    assert ask("classify", "hearing", path=silent)["sound"] == "without sound: it has none"


def test_embeddings_are_those_of_the_predictor(ask, models, video):
    rows = ask("features", "classifier", num_clips="2")["embeddings"]
    expected = models["classifier"].predictor.features(video, num_clips=2)
    assert np.array([row["vector"] for row in rows]) == pytest.approx(np.array([e.vector for e in expected]), abs=1e-5)


def test_actions_are_those_of_the_predictor(ask, models, video, folder):
    boxes = [(t, 5.0 + 4 * t, 6.0, 40.0 + 4 * t, 60.0) for t in (0.4, 0.9, 1.4)]
    text = "video,time,x1,y1,x2,y2\n" + "".join(f"spooled-name,{','.join(map(str, row))}\n" for row in boxes)
    (folder / "boxes.csv").write_text(text)
    given = [dict(zip(("time", "x1", "y1", "x2", "y2"), row)) for row in boxes]
    answer = ask("detect-actions", "detector", boxes=given, step="0.5", threshold="0")
    expected = ActionPredictor(models["detector"].predictor).predict(
        str(video), read_boxes(str(folder / "boxes.csv")), step=0.5
    )
    found = expected.to_dict(threshold=0)
    assert len(answer["persons"]) == 1
    assert answer["persons"][0]["boxes"] == found["persons"][0]["boxes"]
    for ours, theirs in zip(answer["persons"][0]["actions"], found["persons"][0]["actions"], strict=True):
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)
    assert [span["action"] for span in answer["spans"]] == [span["action"] for span in found["spans"]]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ({"time": 9, "x1": 1, "y1": 1, "x2": 9, "y2": 9}, "outside of clip.mp4, which lasts 2 s"),
        ({"time": 1, "x1": 1, "y1": 1, "x2": 500, "y2": 9}, "outside of the 80x64 frame of clip.mp4"),
        ({"time": 1, "x1": 0.1, "y1": 0.1, "x2": 0.9, "y2": 0.9}, "within one pixel"),
    ],
)
def test_a_box_that_cannot_be_is_named(ask, box, words):
    with pytest.raises(DataError, match=words):
        ask("detect-actions", "detector", boxes=[box])


def test_explanations_are_those_of_the_library(ask, models, video):
    from vidmodels.inference.explain import explain_video

    answer = ask("explain", "classifier", windows="1", target="class 2")
    (window,) = answer["windows"]
    assert (answer["method"], window["class"]) == ("grad-cam", "class 2")
    near = min(explain_video(models["classifier"].predictor, video, "class 2"), key=lambda w: abs(w.start - window["start"]))
    assert 0 <= window["score"] <= 1
    assert abs(near.start - window["start"]) < 0.6
    with pytest.raises(ConfigError, match="did you mean 'class 2'"):
        ask("explain", "classifier", target="clas 2")


def test_more_windows_than_the_limit_are_refused(ask):
    with pytest.raises(MediaLimitError, match=r"clip\.mp4 has more than 5 windows"):
        ask("classify", "classifier", most=5, stride="0.05")


def test_calls_for_one_model_are_one_batch_and_a_bad_call_spoils_no_other(models, monkeypatch):
    model = models["classifier"]
    rng = np.random.default_rng(1)
    clips = [rng.integers(0, 256, (count, 16, 32, 32, 3), dtype=np.uint8) for count in (1, 2, 1)]
    calls = [Call("classifier", "scores", each) for each in clips]
    alone = [model.compute(call).values for call in calls]
    sizes = []
    scores = Predictor.scores
    monkeypatch.setattr(Predictor, "scores", lambda self, c, s=None: sizes.append(len(c)) or scores(self, c, s))
    together = dict(compute_all(models, calls))
    assert sizes == [4]
    for number, one in enumerate(alone):
        assert one == pytest.approx(together[number].values, abs=1e-5)
    monkeypatch.setattr(model.predictor, "batch_size", 2)
    assert [number for number, _ in compute_all(models, calls)] == [0, 1, 2]
    assert sizes[1:] == [1, 2, 1], "parts that are computed together hold whole calls"
    wrong = dataclasses.replace(calls[0], clips=clips[0][..., :2])
    good, bad, fine = (dict(compute_all(models, [calls[0], wrong, calls[1]]))[number] for number in range(3))
    assert good.values == pytest.approx(alone[0], abs=1e-5)
    assert fine.values == pytest.approx(alone[1], abs=1e-5)
    assert isinstance(bad, WeightsError)
