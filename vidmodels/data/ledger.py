"""The ledger of decoding: which videos were being decoded when a process died, so that they are tried apart."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Ledger(Protocol):
    """Begin before a micro-batch is decoded, done after it; what began and was never done is suspect."""

    def begin(self, ids: Sequence[str]) -> set[str]:
        """Note that `ids` are about to be decoded; returns those of them that were being decoded at a crash."""

    def done(self, ids: Sequence[str]) -> None:
        """Note that `ids` were decoded without a crash."""


class FileLedger:
    """A ledger for the processes of one machine: one small file for each process.

    Entries of processes that are gone are suspects for everyone.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def begin(self, ids: Sequence[str]) -> set[str]:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._own()
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(list(ids)))
        scratch.replace(path)
        return self.suspects() & set(ids)

    def done(self, ids: Sequence[str]) -> None:
        self._own().unlink(missing_ok=True)

    def suspects(self) -> set[str]:
        """Ids that were being decoded by processes that no longer live."""
        found: set[str] = set()
        for path in self.folder.glob("*.json"):
            if not _alive(int(path.stem)):
                found.update(json.loads(path.read_text()))
        return found

    def _own(self) -> Path:
        return self.folder / f"{os.getpid()}.json"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # a killed child that its parent has not waited for yet still has a process id
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[-1].split()[0] == "Z")
