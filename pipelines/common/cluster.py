"""The Ray cluster of a program: the one that it is told of, else a local one that fits the run."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidmodels.core.errors import RunError
from vidmodels.core.recipe import RunSection

log = logging.getLogger(__name__)

ENVIRONMENT = {
    # how often the controller looks at the workers; its default of 2 s delays the start and the end of a run
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # on a loaded machine, or while an autoscaler brings nodes, the default of 60 s is too short
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    # else every line that a worker prints comes twice
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    # trials are compared by what they report; their files are those of any run, in its own folder
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # a trial that fails at once reports nothing, and the program itself says how trials end
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    # under `uv run` Ray would build an environment for each worker
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


def ensure_ray(run: RunSection, cores: int = 0) -> None:
    """Connect this process to Ray, once. Raises RunError where the cluster cannot be reached.

    With RAY_ADDRESS (a submitted job has it) to that cluster, whose size is then given; else a local Ray is started,
    with at least as many logical cores as workers and decoders need. A local Ray is not shared: a cluster on the same
    machine is used when RAY_ADDRESS names it. cores: how many a local Ray has at least, where several runs share it.
    """
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    import ray

    if not ray.is_initialized():
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        with _own_sigterm_handler():
            if os.environ.get("RAY_ADDRESS"):
                _attach(quiet)
            else:
                cores = max(4, os.cpu_count() or 1, needed_cores(run), cores)
                ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
    _check_size(run)


def needed_cores(run: RunSection) -> int:
    """Logical cores of the training workers and the decoders together."""
    return run.num_workers * run.cpus_per_worker + max(1, run.decoders)


def _attach(quiet: dict) -> None:
    import ray

    # a cluster that was started where a token lies asks for it, and clients do not send it by themselves
    if "RAY_AUTH_MODE" not in os.environ and (Path.home() / ".ray" / "auth_token").exists():
        os.environ["RAY_AUTH_MODE"] = "token"
    try:
        ray.init(**quiet)  # without num_cpus, which Ray refuses for a cluster that exists
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RunError(
            f"cannot reach the Ray cluster at RAY_ADDRESS={os.environ['RAY_ADDRESS']}: {error}; check the address and "
            "RAY_AUTH_MODE, or unset RAY_ADDRESS for a local Ray"
        ) from error


def _check_size(run: RunSection) -> None:
    import ray

    resources = ray.cluster_resources()
    for name, needed in (("CPU", float(needed_cores(run))), ("GPU", run.num_workers * run.gpus_per_worker)):
        if (there := resources.get(name, 0.0)) < needed:
            log.warning(
                "the run asks for %g %s and the cluster has %g now: it waits until there are more; otherwise ask for "
                "fewer with --run.num-workers, --run.cpus-per-worker, --run.gpus-per-worker and --run.decoders",
                needed, name, there,
            )  # fmt: skip


@contextmanager
def _own_sigterm_handler() -> Iterator[None]:
    """Keep the program's handler: `ray.init` puts its own in place, which ends the process without a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
