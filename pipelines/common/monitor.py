"""What training workers and the driver tell each other while a run goes on, through one small actor.

Workers never wait for it: news are sent and forgotten, and whether to stop is asked ahead. If the actor is gone, the
training goes on without it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle

from pipelines.common.ray_ledger import this_node
from vidmodels.core import errors
from vidmodels.core.errors import RunError, VidmodelsError

if TYPE_CHECKING:
    # the actor imports this file: without torch it answers seconds earlier
    from vidmodels.training.loop import Listener

log = logging.getLogger(__name__)

News = tuple[str, tuple[Any, ...]]

KEEP = 10_000
"""News that wait for a slow driver; the oldest are dropped."""
PENDING = 1000
"""Calls of one worker that wait for a slow mailbox; further news are dropped."""


class Mailbox:
    """The state of the actor."""

    def __init__(self) -> None:
        self._news: deque[News] = deque(maxlen=KEEP)
        self._stop = False
        self._failure: tuple[str, str] | None = None

    def tell(self, kind: str, *content: Any) -> None:
        self._news.append((kind, content))

    def take(self) -> list[News]:
        """All news since the last call."""
        news = list(self._news)
        self._news.clear()
        return news

    def stop(self) -> None:
        self._stop = True

    def stopping(self) -> bool:
        return self._stop

    def fail(self, kind: str, message: str) -> None:
        """Note an error that starting again would only repeat; the first one counts."""
        self._failure = self._failure or (kind, message)

    def failure(self) -> tuple[str, str] | None:
        return self._failure


def start_mailbox() -> ActorHandle:
    """The actor, owned by this process and on its node."""
    options = {"num_cpus": 0, "max_pending_calls": PENDING, "label_selector": this_node()}
    actor: Any = ray.remote(Mailbox).options(**options)
    return actor.remote()


class RemoteListener:
    """The listener of the training loop that the first worker has."""

    def __init__(self, mailbox: ActorHandle) -> None:
        self._mailbox = mailbox

    def on_metrics(self, step: int, metrics: dict[str, float], clips: int, wait_s: float, step_s: float) -> None:
        self._tell("metrics", step, metrics, clips, wait_s, step_s)

    def on_checkpoint(self, step: int, uri: str) -> None:
        self._tell("checkpoint", step, uri)

    def _tell(self, *news: Any) -> None:
        try:
            self._mailbox.tell.remote(*news)
        except ray.exceptions.PendingCallsLimitExceeded:
            log.debug("the driver does not keep up: dropped a record")


class RemoteLog(logging.Handler):
    """Sends a worker's log records to the driver, whose terminal is the one that is looked at."""

    def __init__(self, mailbox: ActorHandle) -> None:
        super().__init__(logging.INFO)
        self._mailbox = mailbox

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._mailbox.tell.remote("log", record.name, record.levelno, record.getMessage())
        except ray.exceptions.PendingCallsLimitExceeded:
            self.handleError(record)


class RemoteStop:
    """Whether the driver wants the run to stop; calling it costs microseconds.

    The question is under way while steps are computed, so the answer is at most `interval_s` seconds and a step old.
    about: what the actor is asked about, where it serves several runs.
    """

    def __init__(self, mailbox: ActorHandle, interval_s: float = 0.5, about: tuple[str, ...] = ()) -> None:
        self._mailbox = mailbox
        self._about = about
        self._interval = interval_s
        self._asked = 0.0
        self._answer: ray.ObjectRef | None = None
        self._stop = False

    def __call__(self) -> bool:
        if self._stop:
            return True
        if self._answer is not None:
            self._receive(self._answer)
        elif time.monotonic() - self._asked >= self._interval:
            self._asked = time.monotonic()
            self._answer = self._mailbox.stopping.remote(*self._about)
        return self._stop

    def _receive(self, answer: ray.ObjectRef) -> None:
        ready, _ = ray.wait([answer], timeout=0)
        if not ready:
            return
        try:
            self._stop = ray.get(answer)
        except ray.exceptions.RayActorError:
            log.debug("the mailbox is gone; the run goes on without it")
        self._answer = None


def tell_failure(mailbox: ActorHandle, error: VidmodelsError) -> None:
    """Note an error for the driver and for the other workers, who may hang or fail because of it.

    Patient, as an error that is not noted is repeated by every restart.
    """
    try:
        ray.get(mailbox.fail.remote(type(error).__name__, str(error)), timeout=120)
    except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
        raise error from None


def known_failure(mailbox: ActorHandle, wait_s: float = 0.0) -> VidmodelsError | None:
    """The error that a worker noted, as an exception of the same type, if one is noted within `wait_s` seconds."""
    until = time.monotonic() + wait_s
    while True:
        try:
            failure: Any = ray.get(mailbox.failure.remote(), timeout=30)
        except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
            return None
        if failure is not None:
            kind = getattr(errors, failure[0], RunError)
            return kind(failure[1])
        if time.monotonic() >= until:
            return None
        time.sleep(0.1)


def deliver(mailbox: ActorHandle, listeners: Iterable[Listener]) -> None:
    """Hand the news that have arrived to the driver's listeners."""
    try:
        news: list[News] = ray.get(mailbox.take.remote(), timeout=30)
    except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
        return
    for kind, content in news:
        if kind == "log":
            name, level, message = content
            logging.getLogger(name).log(level, "%s", message)
            continue
        for listener in listeners:
            if kind == "metrics":
                listener.on_metrics(*content)
            else:
                listener.on_checkpoint(*content)
