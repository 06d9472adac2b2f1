"""The replica that reads media: a nursery of sandboxes, and a handle to the replicas that compute."""

from __future__ import annotations

import asyncio
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from services.decoding.answers import ANSWERS, Job, Tools
from services.models.served import Call
from services.problems import Problem, problem_of
from services.replicas import replica_options
from services.settings import DecoderSection
from vidmodels.core.errors import VidmodelsError
from vidmodels.data.nursery import Nursery
from vidmodels.inference.reading import HANDLER

BUSY = Problem("overloaded", "the model has as much work as it can hold: try again later", retry_after=1)
LOST = Problem("overloaded", "the model's replicas were lost while it answered: try again", retry_after=1)


class Decoder:
    """Reads a video in a sandbox, has its windows computed, and makes the result of the answers."""

    def __init__(self, settings: DecoderSection) -> None:
        self._nursery = Nursery(HANDLER, settings.children)
        self._nursery.start()

    async def answer(self, job: Job) -> dict[str, Any] | Problem:
        """The result of a job, or the problem that it ended with, as a value: an exception would be logged as a fault."""
        model = serve.get_app_handle(job.info.app)
        try:
            return await ANSWERS[job.task](job, Tools(self._nursery, lambda call: computed(model, call)))
        except Problem as problem:
            return problem
        except VidmodelsError as error:
            return problem_of(error)

    async def check_health(self) -> None:
        if not self._nursery.alive():
            await asyncio.to_thread(self._nursery.start)

    def __del__(self) -> None:
        self._nursery.close()


async def computed(model: Any, call: Call) -> Any:
    """A model's answer; a call whose replica dies is given to another one once. Raises Problem."""
    for attempt in (1, 2):
        try:
            return await model.compute.remote(call)
        except BackPressureError:
            raise BUSY from None
        except (RayActorError, DeploymentUnavailableError):
            if attempt == 2:
                raise LOST from None
    raise AssertionError


def decoder_deployment(settings: DecoderSection) -> serve.Application:
    """The deployment, bound to its settings."""
    options = replica_options(settings, 2 * settings.children)
    deployment = serve.deployment(name="decoder", **options)
    return deployment(Decoder).bind(settings)
