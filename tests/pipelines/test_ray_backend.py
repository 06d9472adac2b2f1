"""Training on Ray: through the death of a worker, until it is asked to stop, and an error not worth repeating."""

from __future__ import annotations

import pytest

from pipelines.common import ray_backend
from tests.pipelines.ray_parts import Heard, TinyJob, TinyReader
from vidmodels.core.errors import RunError
from vidmodels.core.recipe import RunSection
from vidmodels.data.ledger import FileLedger
from vidmodels.data.loader import LocalLoader
from vidmodels.training.distributed import World

pytestmark = pytest.mark.ray

READER = TinyReader(broken=frozenset({"v20", "v40"}))


def job_in(folder, workers: int, **settings) -> TinyJob:
    folder.mkdir()
    run = RunSection(num_workers=workers, log_every=1)
    return TinyJob(str(folder / "checkpoints"), run, READER, **settings)


def local_losses(folder, steps: int, last: int) -> dict[int, list[float]]:
    """The losses of the first `last` steps of an undisturbed run of one process."""
    heard = Heard()
    trainer = job_in(folder, 1, steps=steps).make_trainer(World(), (heard,), lambda: last in heard.losses)
    trainer.run(LocalLoader(READER, FileLedger(folder / "ledger")).batches(trainer.plan.micro_batches()))
    return heard.losses


def test_a_killed_worker_resumes_with_the_losses_of_an_undisturbed_run_and_stops_when_asked_to(ray_cluster, tmp_path):
    heard = Heard()
    job = job_in(tmp_path / "killed", 2, steps=1000, step_s=0.1, die_at=6)
    outcome = ray_backend.train(job, (heard,), lambda: 9 in heard.losses)
    assert outcome.stopped
    assert 9 <= outcome.step < 1000
    assert heard.checkpoints[0] == 4
    assert heard.checkpoints[-1] == outcome.step, "it stops with a checkpoint"
    assert outcome.bad_samples == {"v20": "v20 is broken", "v40": "v40 is broken"}, "of both workers"
    assert (tmp_path / "killed" / "died").read_text() == "xx", "step 6 was reached again"
    assert not (tmp_path / "killed" / "ray").exists()
    assert [len(heard.losses[step]) for step in (4, 5, 7, 8)] == [1, 2, 1, 1], "from the checkpoint of step 4 on"
    assert len(set(heard.losses[5])) == 1, "the repeated step has the same loss to the last bit"
    calm = local_losses(tmp_path / "calm", 1000, outcome.step)
    assert sorted(heard.losses) == list(range(1, outcome.step + 1))
    for step, losses in heard.losses.items():
        assert losses[-1] == pytest.approx(calm[step][0], rel=1e-5), f"step {step}"


def test_an_error_of_ours_in_any_worker_comes_back_once_and_as_itself(ray_cluster, tmp_path):
    job = job_in(tmp_path / "failing", 2, fail_at=2, fail_rank=1)
    with pytest.raises(RunError, match="step 2 is not to be"):
        ray_backend.train(job, (), lambda: False)
    assert (tmp_path / "failing" / "failed").read_text() == "x"
