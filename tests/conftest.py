"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def ray_cluster():
    """One Ray of four logical cores for all tests marked `ray`; it starts with the first of them."""
    os.environ["RAY_AUTH_MODE"] = "disabled"  # a token would be written into the home folder
    # readers and models of the tests are imported by name in the workers
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    from pipelines.common.cluster import ENVIRONMENT

    os.environ.update(ENVIRONMENT)
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
