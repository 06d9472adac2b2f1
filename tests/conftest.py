"""Fixtures of all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Before the first import of Ray, which reads it once: a driver that wants a token refuses a cluster that has none, and calls
# of the cluster to the driver fail one by one. With a token, Ray would write one into the home folder.
os.environ["RAY_AUTH_MODE"] = "disabled"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say at once why a test failed: what pytest collects for its end is lost with a run that is stopped."""
    if report.failed:
        print(f"\n{report.nodeid}: {report.when} failed\n{report.longreprtext[-2000:]}", file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session")
def ray_cluster():
    """One Ray of four logical cores for all tests marked `ray`; it starts with the first of them."""
    # readers and models of the tests are imported by name in the workers
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    from pipelines.common.cluster import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
    # a disk that is nearly full stops Ray, which would spill to it: these tests need megabytes
    os.environ["RAY_local_fs_capacity_threshold"] = "0.995"  # noqa: SIM112  (Ray spells it so)
    # Ray makes its workers the nicest processes of the machine: beside other work they would starve until time-outs pass
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  (Ray spells it so)
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        object_store_memory=500_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield ray
    ray.shutdown()
