"""Folders of training checkpoints, local or in an object store: written whole or not at all, and verified on reading.

A checkpoint is the folder `step_00000100/` with its files and `manifest.json` (SHA-256 and size of each of them).
Locally it is written as `.tmp-...` beside and renamed; an object store gets its manifest last. `LATEST` names the
newest one for people and other tools; reading never trusts it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

from vidmodels.core.errors import CheckpointError
from vidmodels.training.manifest import Manifest
from vidmodels.training.store import Store, open_store, out_of_space

log = logging.getLogger(__name__)

Content = bytes | str | PathLike | Callable[[Path], None]
"""Bytes, a local file to copy, or a function that writes the file at the path it is given."""


Steps = list[int]


@dataclass(frozen=True)
class CheckpointInfo:
    """One line of a listing: `problem` says in words why a checkpoint is not ok; bytes as found."""

    step: int
    ok: bool
    problem: str | None
    bytes: int
    metric: float | None
    uri: str


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files were verified. `local(name)` gives a path to read, fetched first where it is remote."""

    step: int
    uri: str
    manifest: Manifest
    store: Store

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(self.manifest.files)

    def local(self, name: str) -> AbstractContextManager[Path]:
        """Context manager: the local path of one file. Raises CheckpointError for a name it does not have."""
        if name not in self.manifest.files:
            raise CheckpointError(f"the checkpoint {self.uri} has no file {name!r}, only {', '.join(self.files)}")
        return self.store.local(self.step, name)

    def read_json(self, name: str) -> dict:
        """A JSON object among the files. Raises CheckpointError where it is none."""
        with self.local(name) as path:
            try:
                value = json.loads(path.read_text())
            except ValueError as error:
                raise CheckpointError(f"{self.uri}/{name} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise CheckpointError(f"{self.uri}/{name} is not a JSON object")
        return value


class Checkpointer:
    """The checkpoints of one run.

    folder_uri: local folder or URI (created when first written to); keep: how many of the newest are kept; metric:
    name in `state["metrics"]` by whose value the best is kept too; mode: whether the best is the largest or the
    smallest (auto: the smallest of what is called a loss or an error).
    """

    def __init__(
        self,
        folder_uri: str | PathLike,
        keep: int = 2,
        metric: str | None = None,
        mode: Literal["auto", "max", "min"] = "auto",
    ) -> None:
        self.store = open_store(str(folder_uri))
        self.keep, self.metric = keep, metric
        small = mode == "min" or (mode == "auto" and metric is not None and metric.endswith(("loss", "error")))
        self._sign = -1.0 if small else 1.0
        # steps that this process wrote or verified: their hashes are not computed again when old ones are pruned
        self._trusted: set[int] = set()

    def save(self, step: int, files: Mapping[str, Content], state: Mapping, expected_bytes: int | None = None) -> str:
        """Write the checkpoint of `step` and prune; returns its URI once it is complete.

        state: JSON, becomes `state.json`; expected_bytes: about what the files need, where they are given as
        functions. Raises CheckpointError when it cannot be written (a full disk, say); older ones stay as they are.
        """
        contents = {"state.json": json.dumps(state, sort_keys=True).encode(), **files}
        need = expected_bytes or self._expected(contents)
        metrics = {k: v for k, v in dict(state.get("metrics", {})).items() if isinstance(v, int | float)}
        if not self.store.has_room(need):
            self._free_room(need)
        try:
            uri = self._write(step, contents, metrics)
        except Exception as error:
            if not out_of_space(error):
                raise
            if not self._free_room(need):
                raise CheckpointError(self._full(step, need)) from None
            try:
                uri = self._write(step, contents, metrics)
            except Exception as again:
                if not out_of_space(again):
                    raise
                raise CheckpointError(self._full(step, need)) from None
        self._trusted.add(step)
        try:
            self.store.set_latest(step)
        except (OSError, CheckpointError) as error:  # a full disk, say; the checkpoint itself is complete
            log.warning("%s is written, but LATEST beside it is not: %s", uri, error)
        self.prune()
        return uri

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that verifies; each damaged newer one is named in a warning."""
        for step in reversed(self.store.steps()):
            manifest, problem = self._verify(step)
            uri = self.store.uri(step)
            if manifest is not None and problem is None:
                self._trusted.add(step)
                return Checkpoint(step, uri, manifest, self.store)
            log.warning("the checkpoint %s is damaged (%s): falling back to an older one", uri, problem)
        return None

    def at(self, step: int, verified: bool = False) -> Checkpoint:
        """The checkpoint of one step. Raises CheckpointError where there is none that verifies.

        verified: another worker has computed the hashes just now, so only the manifest is read.
        """
        if step not in self.store.steps():
            raise CheckpointError(f"there is no checkpoint of step {step} in {self.store.root}")
        manifest, problem = self.store.manifest(step) if verified else self._verify(step)
        if manifest is None or problem is not None:
            raise CheckpointError(f"the checkpoint {self.store.uri(step)} is damaged: {problem}")
        return Checkpoint(step, self.store.uri(step), manifest, self.store)

    def best(self) -> Checkpoint | None:
        """The checkpoint with the best value of the metric that verifies, or None."""
        for step in self._by_metric():
            if self._verify(step)[1] is None:
                return self.at(step)
        return None

    def list(self) -> list[CheckpointInfo]:
        """All checkpoints by step with the state of their files, and last the partial ones of interrupted writes."""
        lines = []
        for step in self.store.steps():
            manifest, problem = self._verify(step)
            metric = None if manifest is None or self.metric is None else manifest.metrics.get(self.metric)
            size = self.store.size(step)
            lines.append(CheckpointInfo(step, problem is None, problem, size, metric, self.store.uri(step)))
        for leftover in self.store.leftovers():
            problem = "partial: its writing was interrupted"
            lines.append(CheckpointInfo(leftover.step, False, problem, leftover.bytes, None, leftover.uri))
        return lines

    def prune(self) -> Steps:
        """Delete all but the `keep` newest that verify and the best; returns the deleted steps.

        Damaged ones newer than those are left for the run to overwrite; leftovers of dead writers are swept.
        """
        return self._prune(self.keep)

    def _prune(self, keep: int) -> Steps:
        steps = self.store.steps()
        good: Steps = []
        for step in reversed(steps):
            if len(good) < keep and (step in self._trusted or self._verify(step)[1] is None):
                self._trusted.add(step)
                good.append(step)
        if not good:
            return []
        best = next((s for s in self._by_metric() if s in self._trusted or self._verify(s)[1] is None), None)
        doomed = [s for s in steps if s < good[0] and s not in good and s != best]
        for step in doomed:
            self._trusted.discard(step)
            try:
                self.store.delete(step)
            except (OSError, CheckpointError) as error:  # an old one that stays does not stop a run
                log.warning("the old checkpoint %s cannot be deleted: %s", self.store.uri(step), error)
        self.store.sweep()
        return doomed

    def _by_metric(self) -> Steps:
        """Steps that have the metric, the best first (of equals the newest)."""
        if self.metric is None:
            return []
        found = []
        for step in self.store.steps():
            manifest = self.store.manifest(step)[0]
            value = None if manifest is None else manifest.metrics.get(self.metric)
            if value is not None and value == value:
                found.append((value * self._sign, step))
        return [step for _, step in sorted(found, reverse=True)]

    def _verify(self, step: int) -> tuple[Manifest | None, str | None]:
        manifest, problem = self.store.manifest(step)
        if manifest is None:
            return None, problem
        for name, entry in manifest.files.items():
            problem = self.store.check(step, name, entry)
            if problem is not None:
                return manifest, problem
        return manifest, None

    def _write(self, step: int, contents: Mapping[str, Content], metrics: dict[str, float]) -> str:
        with self.store.writing(step) as draft:
            entries = {name: draft.add(name, content) for name, content in contents.items()}
            draft.finish(Manifest(step, entries, metrics))
        return self.store.uri(step)

    def _expected(self, contents: Mapping[str, Content]) -> int:
        known = 0
        for content in contents.values():
            if isinstance(content, bytes):
                known += len(content)
            elif not callable(content):
                known += Path(content).stat().st_size
        steps = self.store.steps()
        return max(known, self.store.size(steps[-1]) if steps else 0)

    def _free_room(self, need: int) -> bool:
        """Give up all but the newest good and the best checkpoint, since a full disk stops the run; True if any."""
        freed = self._prune(1)
        if freed:
            log.warning(
                "the disk of %s is nearly full (a checkpoint needs about %s): deleted the checkpoints of steps %s",
                self.store.root, megabytes(need), freed,
            )  # fmt: skip
        return bool(freed)

    def _full(self, step: int, need: int) -> str:
        free = self.store.free()
        left = "" if free is None else f", {megabytes(free)} are free"
        return (
            f"disk full: the checkpoint of step {step} in {self.store.root} needs about {megabytes(need)}{left}; "
            "older checkpoints are intact: make room and start the run again"
        )


def megabytes(count: int) -> str:
    """`12.3 MB`; sizes below a tenth of it are given in kB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{max(count, 1) / 1e3:.1f} kB"
