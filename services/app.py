"""The Serve application: `services.app:build` in a YAML of `serve deploy`, and what `vidmodels serve` runs."""

from __future__ import annotations

from ray import serve

from services.decoding.deployment import decoder_deployment
from services.gateway.deployment import gateway_deployment
from services.models.keeper import Keeper
from services.settings import ServiceSettings
from services.streams.host import stream_deployment


def build(args: ServiceSettings) -> serve.Application:
    """The gateway with decoders, streams and the keeper, which deploys the models. Unknown keys are refused."""
    keeper = serve.deployment(
        name="keeper", num_replicas=1, ray_actor_options={"num_cpus": 0}, health_check_period_s=5, max_ongoing_requests=64
    )(Keeper)
    bound = keeper.bind(args)
    return gateway_deployment(args, bound, decoder_deployment(args.decoder), stream_deployment(args, bound))
