"""The gateway as a deployment of Serve: the one that HTTP requests reach."""

from __future__ import annotations

import logging
from typing import Any

from ray import serve

from services.settings import ServiceSettings, storage_folder
from services.tokens import TokenFile


class Gateway:
    """Holds the routes, and the handles of what is behind them."""

    def __init__(self, settings: ServiceSettings, keeper: Any, decoder: Any, streams: Any) -> None:
        from services.gateway.backend import ServeBackend

        logging.getLogger("services").setLevel(logging.INFO)
        self._settings = settings
        self._backend = ServeBackend(keeper, decoder, streams)

    def __serve_build_asgi_app__(self):  # what `serve.ingress()` asks for on each replica
        from services.gateway.app import make_app

        return make_app(self._backend, self._settings, TokenFile(token_path(self._settings)), proxied=True)


def token_path(settings: ServiceSettings) -> str:
    """Where the tokens are kept."""
    return settings.tokens or str(storage_folder() / "tokens.json")


def gateway_deployment(settings: ServiceSettings, keeper: Any, decoder: Any, streams: Any) -> serve.Application:
    """The deployment, bound to its settings and to those behind it."""
    deployment = serve.deployment(
        name="gateway",
        num_replicas=settings.gateways,
        # the gate refuses what is too much with an answer of ours; this is the ceiling above it
        max_ongoing_requests=2 * settings.max_requests,
        max_queued_requests=settings.max_requests,
        ray_actor_options={"num_cpus": 0.1},
        health_check_period_s=5,
        graceful_shutdown_timeout_s=30,
        graceful_shutdown_wait_loop_s=1,
    )
    return deployment(serve.ingress()(Gateway)).bind(settings, keeper, decoder, streams)
