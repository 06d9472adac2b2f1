"""Training and evaluation with sound, from recipe to metrics: what is read, what is counted, what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pipelines.common.evaluate import _scores
from pipelines.common.job import TrainJob
from pipelines.common.kinds import kind_of
from pipelines.common.kinds.sound import hearing_of, sound_settings
from pipelines.common.preflight import check_job
from pipelines.common.scoring import Scoring
from pipelines.common.sources import Sources
from tests.data.sounds import beeping
from vidmodels import zoo
from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe import ClassifyRecipe, RunSection, SoundSection, SynchronyRecipe
from vidmodels.data.hearing import Hearing
from vidmodels.data.manifest import Manifest
from vidmodels.training.distributed import World
from vidmodels.training.evaluation import join_scores

RECIPE = zoo.recipes(ClassifyRecipe)["avslowfast_tiny"]()


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Sources:
    """Four videos of two classes; the last has no sound."""
    folder = tmp_path_factory.mktemp("sound")
    paths = [beeping(folder / f"{i}.mp4", 0.5 if i < 3 else None, 2.0) for i in range(4)]
    rows = [{"id": path.stem, "uri": str(path), "label": i % 2} for i, path in enumerate(paths)]
    manifest = Manifest.from_rows(rows, ("a", "b"))
    return Sources((manifest,), (1.0,), manifest, manifest.digest)


def job_of(recipe, sources: Sources, folder) -> TrainJob:
    return TrainJob("test", recipe, RunSection(backend="local"), sources, str(folder))


def test_a_run_counts_what_has_no_sound(sources, tmp_path):
    recipe = RECIPE.replace(schedule=RECIPE.schedule.replace(batch_size=4, max_steps=1))
    job = job_of(recipe, sources, tmp_path)
    check_job(job, 1)
    from vidmodels.data.loader import LocalLoader

    trainer = job.make_trainer(World())
    outcome = trainer.run(LocalLoader(job.reader()).batches(trainer.plan.micro_batches()))
    assert outcome.metrics["without_sound"] == pytest.approx(0.25)
    assert outcome.metrics["val_without_sound"] == 1
    assert outcome.metrics["val_videos"] == 4


def test_evaluation_over_workers_keeps_the_silent_videos(sources, tmp_path):
    kind = kind_of(RECIPE)(RECIPE, sources)
    torch.manual_seed(0)
    path = zoo.save_weights(zoo.create_model("avslowfast_tiny", num_classes=2), tmp_path / "w.safetensors")
    columns = kind.view_reader().read_batch(range(4))
    answers = Scoring(str(path)).open()(columns)
    assert answers["heard"].tolist() == [True, True, True, False]
    rows = [{key: answers[key][i] for key in ("values", "facts", "id", "label", "error", "heard")} for i in range(4)]
    halves = [_scores(rows[start : start + 2], {"": {0: 0, 1: 1}}, ("a", "b")) for start in (0, 2)]
    assert join_scores(halves).silent == ["3"]
    model, _ = zoo.load_model(path)
    found = kind.evaluate(model, World())
    assert found.metrics["without_sound"] == 1
    np.testing.assert_allclose(answers["values"].sum(1), 1, rtol=1e-5)


def test_a_card_says_what_is_read():
    row = zoo.entry("avslowfast_r50_4x16")
    assert hearing_of(row, SoundSection()) == Hearing(16000, misaligned=True)
    assert hearing_of(row, SoundSection(sync_levels=())) == Hearing(16000, misaligned=False)
    assert hearing_of(row) == Hearing(16000, misaligned=False)  # to evaluate
    assert hearing_of(zoo.entry("avslowfast_tiny"), SoundSection()) == Hearing(16000, misaligned=False)
    assert hearing_of(zoo.entry("slowfast_tiny")) is None


def test_settings_of_sound_reach_the_model():
    found = sound_settings(zoo.entry("avslowfast_tiny"), SoundSection(drop_pathway=0.5, sync_levels=("res3",)))
    assert found == {"drop_pathway": 0.5, "sync": ("res3",)}


def test_settings_of_sound_are_refused_where_none_is_taken():
    with pytest.raises(ConfigError, match="'slowfast_tiny' takes no sound: leave out the settings"):
        sound_settings(zoo.entry("slowfast_tiny"), SoundSection(drop_pathway=0.5))


def test_learning_from_synchrony_needs_a_model_that_hears_and_compares(sources):
    recipe = zoo.recipes(SynchronyRecipe)["avslowfast_tiny_selfsup"]()
    deaf = recipe.replace(model={"name": "slowfast_tiny"})
    with pytest.raises(ConfigError, match="'slowfast_tiny' takes no sound: choose one that hears"):
        kind_of(deaf)(deaf, sources).model_settings()
    dropping = recipe.replace(sound=recipe.sound.replace(drop_clips=0.5))
    with pytest.raises(ConfigError, match="drop_clips is for classes"):
        kind_of(dropping)(dropping, sources).model_settings()
    nowhere = recipe.replace(sound=SoundSection())
    with pytest.raises(ConfigError, match="compares sound and pictures nowhere"):
        kind_of(nowhere)(nowhere, sources).model_settings()


def test_synchrony_trains_without_labels_and_starts_a_classifier(sources, tmp_path):
    bare = Manifest(sources.train[0].table, None)
    unlabelled = Sources((bare,), (1.0,), None, bare.digest)
    recipe = zoo.recipes(SynchronyRecipe)["avslowfast_tiny_selfsup"]()
    recipe = recipe.replace(schedule=recipe.schedule.replace(batch_size=4, max_steps=1))
    job = job_of(recipe, unlabelled, tmp_path)
    check_job(job, 1)
    from vidmodels.data.loader import LocalLoader

    trainer = job.make_trainer(World())
    metrics = trainer.run(LocalLoader(job.reader()).batches(trainer.plan.micro_batches())).metrics
    assert metrics["without_sound"] == pytest.approx(0.25)
    assert {"sync_res3", "sync_res4", "sync_res5"} <= set(metrics)
    path = zoo.save_weights(trainer.bare, tmp_path / "start.safetensors")
    started = dataclasses.replace(job_of(RECIPE, sources, tmp_path), init=str(path)).make_model()
    torch.testing.assert_close(started.backbone.audio.stem.conv_t.weight, trainer.bare.backbone.audio.stem.conv_t.weight)
