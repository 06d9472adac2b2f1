"""The Serve application: what `vidmodels serve` runs and `serve deploy` is told.

`services.app:build` is the builder that YAML names with its settings as `args`; `services.app:app` is built with the default
settings, for `serve run` and `serve build`.
"""

# without `from __future__ import annotations`: Serve reads the builder's annotation to make settings of a file's `args`

from typing import Any

from ray import serve

from services.decoding.deployment import decoder_deployment
from services.gateway.deployment import gateway_deployment
from services.models.keeper import Keeper
from services.settings import ServiceSettings
from services.streams.host import stream_deployment

APP = "gateway"


def build(args: ServiceSettings) -> serve.Application:
    """The gateway with decoders, streams and the keeper, which deploys the models. Unknown keys are refused."""
    keeper = serve.deployment(
        name="keeper", num_replicas=1, ray_actor_options={"num_cpus": 0}, health_check_period_s=5, max_ongoing_requests=64
    )(Keeper)
    bound = keeper.bind(args)
    return gateway_deployment(args, bound, decoder_deployment(args.decoder), stream_deployment(args, bound))


def http_options(settings: ServiceSettings, host: str, port: int) -> dict[str, Any]:
    """Of Serve's proxy, which gives up a request only after the gateway has."""
    return {"host": host, "port": port, "request_timeout_s": settings.limits.deadline_s + 30}


def deploy_config(settings: ServiceSettings, host: str = "0.0.0.0", port: int = 8000) -> dict[str, Any]:
    """What `serve deploy` reads: this application with those of the settings that are not the defaults."""
    application = {
        "name": APP,
        "route_prefix": "/",
        "import_path": "services.app:build",
        "args": settings.model_dump(mode="json", exclude_defaults=True),
    }
    return {"proxy_location": "EveryNode", "http_options": http_options(settings, host, port), "applications": [application]}


app = build(ServiceSettings())
