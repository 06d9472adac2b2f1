"""What trials and the driver of their study tell each other: news of trials, and which of them are to stop."""

from __future__ import annotations

from typing import Any

import ray
from ray.actor import ActorHandle

from pipelines.common.monitor import PENDING, News
from pipelines.common.ray_ledger import this_node


class Board:
    """The state of the actor."""

    def __init__(self) -> None:
        self._news: list[News] = []
        self._stopped: set[str] = set()
        self._all = False

    def tell(self, kind: str, *content: Any) -> None:
        self._news.append((kind, content))

    def take(self) -> list[News]:
        """All news since the last call."""
        news, self._news = self._news, []
        return news

    def stop(self, name: str) -> None:
        """A trial is to stop because others are better."""
        self._stopped.add(name)

    def stop_all(self) -> None:
        """The study is to stop; the same command goes on from there."""
        self._all = True

    def stopping(self, name: str) -> bool:
        return self._all or name in self._stopped

    def gave_up(self, name: str) -> bool:
        """Whether the trial itself is to stop, not the whole study."""
        return name in self._stopped


def start_board() -> ActorHandle:
    """The actor, owned by this process and on its node."""
    actor: Any = ray.remote(Board).options(num_cpus=0, max_pending_calls=PENDING, label_selector=this_node())
    return actor.remote()
