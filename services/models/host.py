"""The replica that computes: one or several models in memory, calls gathered into batches."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import logging
from typing import Any

from ray import serve

from services.models.batches import Batches
from services.models.served import Call, Fetch, ServedModel, Wanted, compute_all, fetching_apart
from services.replicas import replica_options
from services.settings import HostSection
from vidmodels.core.errors import WeightsError

log = logging.getLogger(__name__)


class ModelHost:
    """Loads its models when it is made, so that one that does not load never gets a request."""

    def __init__(self, wanted: list[Wanted], settings: HostSection, app: str) -> None:
        import torch

        if settings.cpus:
            torch.set_num_threads(max(int(settings.cpus), 1))
        device = "cuda" if settings.gpus else "cpu"
        with fetching_apart() as fetch:
            self._models = {each.name: _loaded(each, device, fetch) for each in wanted}
        _return_memory()
        self._app = app
        compute = functools.partial(compute_all, self._models)
        self._batches = Batches(compute, settings.max_batch, settings.batch_wait_ms / 1000)

    async def compute(self, call: Call) -> Any:
        """The answer to a call, or the error of the library that it ended with, as a value."""
        return await self._batches.answer(call)

    def infos(self) -> list[dict[str, Any]]:
        """What is known of the models."""
        return [model.info(self._app).to_dict() for model in self._models.values()]

    def counts(self) -> dict[str, int]:
        """Batches and calls so far."""
        return {"batches": self._batches.batches, "calls": self._batches.calls}


def _loaded(wanted: Wanted, device: str, fetch: Fetch) -> ServedModel:
    """A model in memory. Raises WeightsError that names it: the keeper reads which of a host's models is to blame."""
    try:
        return ServedModel(wanted, device, fetch)
    except Exception as error:
        raise WeightsError(f"{wanted.registered}/{wanted.version} does not load: {error}") from error


def _return_memory() -> None:
    """Give back what loading took for a while: the C library keeps what other threads than the main one have freed."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def host_app(wanted: list[Wanted], settings: HostSection, app: str) -> serve.Application:
    """The Serve application of some models."""
    options = replica_options(settings, settings.target_ongoing)
    deployment = serve.deployment(name="models", max_constructor_retry_count=1, **options)
    return deployment(ModelHost).bind(wanted, settings, app)
