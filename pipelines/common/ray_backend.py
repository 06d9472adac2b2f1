"""Training on Ray: workers of Ray Train, fed by decoders of Ray Data, watched by the driver."""

from __future__ import annotations

import logging
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common.cluster import ensure_ray
from vidmodels.core.errors import RunError, VidmodelsError
from vidmodels.data.storage import is_local, open_filesystem

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from pipelines.common.job import TrainJob
    from vidmodels.training.distributed import World
    from vidmodels.training.loop import Listener, Outcome, Trainer

log = logging.getLogger(__name__)

POLL_S = 0.25
"""How often the driver hands on news and looks whether to stop."""


def train(job: TrainJob, listeners: tuple[Listener, ...], should_stop: Callable[[], bool]) -> Outcome:
    """Train to the end or until asked to stop. Call it from the main thread; listeners are called in it.

    A worker or node that dies is replaced at most `run.max_failures` times, from the newest checkpoint on. An error
    that starting again would only repeat (a VidmodelsError) is raised at once, as itself; RunError when the restarts
    are used up.
    """
    ensure_ray(job.run)
    from pipelines.common.monitor import deliver, known_failure, start_mailbox
    from pipelines.common.ray_ledger import start_ledger
    from vidmodels.training.loop import Outcome

    mailbox, ledger = start_mailbox(), start_ledger()
    folder = f"{job.checkpoints.rstrip('/').rpartition('/')[0]}/ray"
    fit = _Fit(job, mailbox, ledger, folder)
    fit.start()
    told = False
    while fit.is_alive():
        deliver(mailbox, listeners)
        if not told and should_stop():
            mailbox.stop.remote()
            told = True
        fit.join(POLL_S)
    deliver(mailbox, listeners)
    if is_local(folder):
        # Ray Train's own notes about the attempt: our checkpoints lie elsewhere, and nothing reads these again
        shutil.rmtree(folder, ignore_errors=True)
    failure = known_failure(mailbox)
    if failure is not None:
        raise failure
    if fit.error is not None:
        raise RunError(
            f"the training workers failed more than run.max_failures = {job.run.max_failures} times; the last reason: "
            f"{_last_words(fit.error)}"
        ) from fit.error
    return Outcome(**fit.outcome)


class _Fit(threading.Thread):
    """`TorchTrainer.fit` beside the main thread: it blocks, and it would take SIGINT for itself."""

    def __init__(self, job: TrainJob, mailbox: ActorHandle, ledger: ActorHandle, folder: str) -> None:
        super().__init__(name="ray-train", daemon=True)
        self._job, self._mailbox, self._ledger, self._folder = job, mailbox, ledger, folder
        self.outcome: dict[str, Any] = {}
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.outcome = self._trainer().fit().return_value or {}
        except BaseException as error:  # handed to the main thread, which raises it
            self.error = error

    def _trainer(self):
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        run = self._job.run
        resources: dict[str, float] = {"CPU": run.cpus_per_worker}
        if run.gpus_per_worker:
            resources["GPU"] = run.gpus_per_worker
        system, path = open_filesystem(self._folder)
        if is_local(self._folder):
            Path(path).mkdir(parents=True, exist_ok=True)
        return TorchTrainer(
            _worker,  # type: ignore[arg-type]  # the result of the first worker is returned, whatever the hint says
            train_loop_config={"job": self._job, "mailbox": self._mailbox, "ledger": self._ledger},
            torch_config=TorchConfig(timeout_s=600),  # a worker that hangs is an error after ten minutes, not for ever
            scaling_config=ScalingConfig(
                num_workers=run.num_workers, use_gpu=run.gpus_per_worker > 0, resources_per_worker=resources
            ),
            run_config=RunConfig(
                # a name of its own for every start of the driver: with an old name Ray would go on from its own
                # snapshot of that run, or not train at all where that run was finished
                name=uuid.uuid4().hex[:12],
                storage_path=path,
                storage_filesystem=system,
                failure_config=FailureConfig(max_failures=run.max_failures),
            ),
        )


def _worker(config: dict[str, Any]) -> dict[str, Any]:
    """The body of a training worker; Ray Train calls it again in new processes after a failure."""
    from pipelines.common.monitor import RemoteLog, known_failure, tell_failure
    from vidmodels.training.distributed import close_world, init_world

    mailbox = config["mailbox"]
    if known_failure(mailbox) is not None:
        return {}
    world = init_world(_device(config["job"]))
    if world.rank == 0:
        for name in ("vidmodels", "pipelines"):
            logging.getLogger(name).setLevel(logging.INFO)
            logging.getLogger(name).addHandler(RemoteLog(mailbox))
    try:
        return _train(config, world)
    except VidmodelsError as error:
        tell_failure(mailbox, error)
        if world.device.type == "cuda" and world.size > 1:
            raise  # NCCL would let the others wait for minutes: Ray ends them, and the next attempt returns at once
        close_world()  # the others' collectives fail, and they come here by the next clause
        return {}
    except RuntimeError:
        if world.size > 1 and known_failure(mailbox, wait_s=5.0) is not None:
            return {}
        raise


def _train(config: dict[str, Any], world: World) -> dict[str, Any]:
    """Resume, read on from there, train; what `Outcome` is made of.

    `ray.train.report` is not called: our checkpoints are verified files that any back end resumes from, written by the
    loop itself, while a report waits for the controller's next look and may be lost when a worker dies after it.
    """
    from pipelines.common.monitor import RemoteListener, RemoteStop

    job, mailbox = config["job"], config["mailbox"]
    listeners = (RemoteListener(mailbox),) if world.rank == 0 else ()
    trainer = job.make_trainer(world, listeners, RemoteStop(mailbox) if world.rank == 0 else lambda: False)
    trainer.resume()
    outcome = trainer.run(_batches(job, trainer, world, config["ledger"]))
    return vars(outcome)


def _batches(job: TrainJob, trainer: Trainer, world: World, ledger: ActorHandle):
    """This worker's stream from the trainer's step on.

    The first worker makes the execution, since only now is it known where it has to start; when it dies, Ray ends the
    execution and its decoders with it.
    """
    from pipelines.common.decoding import decoded_dataset, micro_batches, split
    from vidmodels.training.distributed import broadcast_object

    numbers = trainer.plan.micro_batches(trainer.step)
    if not numbers:
        return iter(())
    parts: list[Any] = []
    if world.rank == 0:
        dataset = decoded_dataset(job.reader(), numbers, world.size, job.run, ledger)
        parts = split(dataset, world.size)
    return micro_batches(broadcast_object(parts, world)[world.rank])


def _device(job: TrainJob) -> str | Any:
    if job.run.gpus_per_worker:
        from ray.train.torch import get_device

        return get_device()
    import torch

    torch.set_num_threads(job.run.cpus_per_worker)
    return "cpu"


def _last_words(error: BaseException) -> str:
    """The last line of an error that may hold the tracebacks of several processes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
