"""Options of a deployment whose replicas come and go with their load."""

from __future__ import annotations

import os
from typing import Any

from services.settings import ReplicaSection

ENVIRONMENT = {"RAY_worker_niceness": "0", "MALLOC_ARENA_MAX": "2"}
"""What a Ray that serves is started with: replicas are no nicer than other processes, and the heaps that the C library gives
their dozens of threads do not each keep what was freed there (10 MB a replica over some thousand requests)."""


def prepare_environment() -> None:
    """Set it for a Ray that this process is about to start; what the user has set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def replica_options(settings: ReplicaSection, target_ongoing: float) -> dict[str, Any]:
    """Keyword arguments of `serve.deployment`. target_ongoing: calls of a replica at which another one is started."""
    return {
        "max_ongoing_requests": settings.max_ongoing,
        "max_queued_requests": settings.max_queued,
        "ray_actor_options": {"num_cpus": settings.cpus, "num_gpus": settings.gpus, "resources": settings.resources},
        "health_check_period_s": 5,
        "graceful_shutdown_timeout_s": 30,
        "graceful_shutdown_wait_loop_s": 1,
        "autoscaling_config": {
            "min_replicas": settings.min_replicas,
            "max_replicas": max(settings.min_replicas, settings.max_replicas),
            "target_ongoing_requests": target_ongoing,
            "upscale_delay_s": 5,
            "downscale_delay_s": 60,
        },
    }
