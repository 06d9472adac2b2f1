"""The ledger of decoding on a cluster: an actor that knows which videos were being decoded when a decoder died.

Ray Data restarts a decoder that died and repeats its micro-batch without limit. Because the ledger then names the
videos of that micro-batch, they are read in a child process, so a video kills a decoder once and is named. (Each
other decoder that meets it before the first one is back dies of it too, and is counted.)
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ray
from ray.actor import ActorHandle


class DecodingLog:
    """The state of the ledger; one object of it lives in an actor beside the driver.

    A decoder has an actor id, which stays when Ray restarts it, and a life, which does not. What an earlier life left
    undone was being decoded at its death. After `max_crashes` deaths everything is suspect: slow, but it ends.
    """

    def __init__(self, max_crashes: int = 100) -> None:
        self.max_crashes = max_crashes
        self.crashes = 0
        self.suspects: set[str] = set()
        self._lives: dict[str, tuple[str, list[str]]] = {}
        self._decoded: Counter[str] = Counter()

    def begin(self, decoder: str, life: str, ids: list[str]) -> list[str]:
        """Note that a decoder starts on `ids`; returns those that were in work when a decoder died."""
        earlier, undone = self._lives.get(decoder, (life, []))
        if earlier != life and undone:
            self.crashes += 1
            self.suspects.update(undone)
        self._lives[decoder] = (life, list(ids))
        if self.crashes > self.max_crashes:
            return list(ids)
        return [i for i in ids if i in self.suspects]

    def done(self, decoder: str, life: str, execution: str) -> None:
        """Note that the decoder survived what it last began."""
        self._lives[decoder] = (life, [])
        self._decoded[execution] += 1

    def decoded(self, execution: str) -> int:
        """Micro-batches that an execution has decoded."""
        return self._decoded[execution]

    def summary(self) -> dict[str, Any]:
        """How many decoders died, and the videos that are read apart since."""
        return {"crashes": self.crashes, "suspects": sorted(self.suspects)}


def start_ledger(max_crashes: int = 100) -> ActorHandle:
    """The actor, owned by this process: it outlives restarts of the training workers and ends with the driver."""
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "label_selector": this_node()}
    actor: Any = ray.remote(DecodingLog).options(**options)
    return actor.remote(max_crashes)


def this_node() -> dict[str, str]:
    """The label selector of the node that this process runs on."""
    return {"ray.io/node-id": ray.get_runtime_context().get_node_id()}


class RayLedger:
    """A decoder's end of the ledger (the protocol of vidmodels.data.ledger). Made inside the decoding actor."""

    def __init__(self, actor: ActorHandle, execution: str) -> None:
        self._actor = actor
        self._execution = execution
        self._decoder = ray.get_runtime_context().get_actor_id() or "driver"
        self._life = uuid.uuid4().hex

    def begin(self, ids: Sequence[str]) -> set[str]:
        try:
            return set(ray.get(self._actor.begin.remote(self._decoder, self._life, list(ids))))
        except ray.exceptions.RayActorError:
            return set()  # the ledger guards against bad files; its own death must not stop a run

    def done(self, ids: Sequence[str]) -> None:
        # not waited for: if it is lost in a crash, good videos are read apart once, which only costs time
        self._actor.done.remote(self._decoder, self._life, self._execution)
