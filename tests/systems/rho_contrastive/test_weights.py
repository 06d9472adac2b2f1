"""Published and own files of contrastive learning: whole, inferred, and as the start of classifiers and detectors."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from tests.systems.rho_contrastive.parts import FRAMEWORKS, SMALL, clips, published, small
from vidmodels import zoo
from vidmodels.core.errors import WeightsError


def saved(model, folder, **extra):
    path = folder / "checkpoint.pyth"
    torch.save({"model_state": {**published(model), **extra}, "epoch": 199, "cfg": "TASK: ssl"}, path)
    return path


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_published_file_comes_back_whole(tmp_path, framework):
    model = small(framework, memory=7)
    again = small(framework, memory=7)
    with torch.no_grad():
        for value in again.state_dict().values():
            value.zero_()
    report = zoo.load_weights(again, saved(model, tmp_path))
    assert (report.format, report.new, report.resized, report.dropped) == ("PySlowFast, contrastive", [], {}, {})
    own = model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in again.state_dict().items())
    assert_close(again(clips()).prediction, model(clips()).prediction)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_memories_of_another_length_belong_to_another_run(tmp_path, framework):
    report = zoo.load_weights(small(framework, memory=3, queue=12), saved(small(framework, memory=7), tmp_path))
    wanted = {"memory", "queue"} if framework == "moco" else {"memory"}
    assert set(report.dropped) == wanted
    report = zoo.load_weights(small(framework), saved(small(framework, memory=7), tmp_path))
    assert "none here" in report.dropped["memory"]


def test_a_queue_in_a_file_of_byol_is_left(tmp_path):
    extra = {"queue_x": torch.zeros(24, 16), "ptr": torch.zeros(1, dtype=torch.long)}
    report = zoo.load_weights(small("byol"), saved(small("byol"), tmp_path, **extra))
    assert report.dropped == dict.fromkeys(("queue", "pointer"), "a queue that BYOL does not use")


@pytest.mark.parametrize(
    ("theirs", "changes", "message"),
    [
        ("moco", {"layers": 2}, "layers=2"),
        ("simclr", {"norm": True}, "norm=True"),
        ("swav", {"prototypes": 9}, "prototypes=9"),
        ("byol", {"dim": 8}, "dim=8"),
        ("moco", {"hidden": 8}, "hidden=8"),
    ],
)
def test_a_file_with_other_heads_says_how_to_make_its_model(tmp_path, theirs, changes, message):
    with pytest.raises(WeightsError, match=f"pass {message} to create_model"):
        zoo.load_weights(small(theirs), saved(small(theirs, **changes), tmp_path))


def test_a_file_of_another_framework_says_so(tmp_path):
    with pytest.raises(WeightsError, match="framework='moco'"):
        zoo.load_weights(small("simclr"), saved(small("moco"), tmp_path))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("own", [True, False])
def test_a_file_starts_a_classifier_and_a_detector(tmp_path, framework, own):
    from safetensors.torch import save_file

    model = small(framework, memory=7)
    path = tmp_path / "model.safetensors"
    if own:
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    else:
        path = saved(model, tmp_path)
    trunk = {key: SMALL[key] for key in ("depth", "width")}
    for name, extra in (("slow_r50_8x8", {"num_frames": 4, "size": 32, "identity_start": False}), ("slow_r50_4x16_ava", {})):
        other = zoo.create_model(name, num_classes=5, **trunk, **extra)
        report = zoo.load_weights(other, path)
        assert {key.split(".")[0] for key in report.new} == {"head"}, report
        assert len(report.loaded) == len(other.backbone.state_dict())
        assert_close(other.backbone.state_dict(), model.online.backbone.state_dict())


def test_the_trunk_of_a_file_does_not_fit_two_pathways(tmp_path):
    with pytest.raises(WeightsError, match="one pathway, the model has two"):
        zoo.load_weights(zoo.create_model("slowfast_r50_8x8"), saved(small("moco"), tmp_path))
