"""A model that computes nothing behind the real gateway, decoder and batches: what a request costs by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ray import serve

from services.catalogue import ServedInfo
from services.decoding.answers import ANSWERS, Job, Tools
from services.decoding.deployment import Decoder
from services.gateway.deployment import Gateway
from services.models.host import ModelHost
from services.models.served import Call, Rows
from services.settings import HostSection, ServiceSettings
from services.tokens import TokenFile

INFO = ServedInfo("noop", "noop", "1", "models-noop", "noop", ("noop",), {})


class NoModel:
    """Zeros for whatever comes."""

    def compute(self, call: Call) -> Rows:
        return Rows(np.zeros((len(call.clips), 2), np.float32))


class NoopHost(ModelHost):
    """Batches calls as all hosts do."""

    def __init__(self, settings: HostSection) -> None:
        super().__init__([], settings, INFO.app)
        self._models["noop"] = NoModel()  # type: ignore[assignment]


async def noop(_: Job, tools: Tools) -> dict[str, Any]:
    """The task: one call of the model, no media."""
    rows = await tools.compute(Call("noop", "scores", np.zeros((1, 1, 1, 1, 3), np.uint8)))
    return {"scores": rows.values[0].tolist()}


class NoopDecoder(Decoder):
    """Knows the task."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        ANSWERS["noop"] = noop


class NoopGateway(Gateway):
    """Has a route for it, behind the same layers as all routes."""

    def __serve_build_asgi_app__(self):
        app = super().__serve_build_asgi_app__()

        @app.post("/v1/noop")
        async def answer() -> dict[str, Any]:
            return await self._backend.answer(Job("noop", "", "", INFO, None, None))  # type: ignore[arg-type]

        return app


def start(folder: Path, port: int) -> dict[str, str]:
    """Deploy it; the headers of a request. Ray runs before, and `serve.shutdown` ends it."""
    settings = ServiceSettings(tokens=str(folder / "tokens.json"), spool=str(folder / "spool"))
    token, _ = TokenFile(folder / "tokens.json").create("bench", per_minute=1_000_000, concurrent=1000)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    calls = {"max_ongoing_requests": 64}
    host = serve.deployment(name="models", **calls)(NoopHost).bind(settings.host)
    serve.run(host, name=INFO.app, route_prefix=None)
    decoder = serve.deployment(name="decoder", **calls)(NoopDecoder).bind(settings.decoder)
    gateway = serve.deployment(name="gateway", **calls)(serve.ingress()(NoopGateway))
    serve.run(gateway.bind(settings, None, decoder, None), name="gateway", route_prefix="/")
    return {"Authorization": f"Bearer {token}"}
