"""Sending the records of a spool to MLflow: in order, each once, whatever breaks between two requests."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.common import lineage
from pipelines.common.spool import HELD_FOLDER, Record, RunState, read_records

log = logging.getLogger(__name__)

BATCH = 1000  # MLflow's limit of metrics in one request
LAST_STEP_TAG = "last_step"
PERMANENT = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")


class Refused(Exception):
    """A record that no MLflow can take: a damaged line, or a file that is gone."""


class Sender:
    """Sends the records of a folder in order, noting after each request how far it is.

    A record that MLflow refuses for good is noted in run.json and left out; every other failure is raised, and the same
    records are sent again by the next call.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.state = RunState.load(self.folder)
        self.ended = False
        self._client: Any = None
        self._sent: dict[str, set[int]] = {}
        for record in read_records(self.folder, 0, self.state.offset):
            self._note(record)

    def send_some(self) -> bool:
        """Send the next request's worth of records; False where none is pending."""
        waiting = list(itertools.islice(read_records(self.folder, self.state.offset), BATCH))
        if not waiting:
            return False
        self.connect()
        group = list(itertools.takewhile(lambda record: record.kind == "metrics", waiting)) or waiting[:1]
        try:
            self._send(group)
        except Exception as error:
            if not self._is_permanent(error):
                raise
            if len(group) > 1:  # find the one that is refused
                for record in group:
                    self._send_or_reject(record)
            else:
                self._reject(group[0], error)
        self._advance(group)
        return True

    def connect(self) -> None:
        """Open the store and the run; MLflow has to answer."""
        if self._client is not None:
            return
        client = lineage.open_client(self.state.tracking_uri)
        self.state.run_id = lineage.ensure_run(client, self.state)
        self.state.save(self.folder)
        self._client = client

    def mark_killed(self) -> None:
        """Say that the run ended without a word; a resumed run sets it running again."""
        if self._client is not None and not self.ended:
            self._client.set_terminated(self.state.run_id, "KILLED")

    def _send(self, group: Sequence[Record]) -> None:
        record, client, run_id = group[0], self._client, str(self.state.run_id)
        body = record.body
        if record.kind == "metrics":
            self._send_metrics(group)
        elif record.kind == "params":
            lineage.log_params(client, run_id, body["params"])
        elif record.kind == "tags":
            lineage.log_tags(client, run_id, body["tags"])
        elif record.kind == "parent":
            lineage.set_parent(client, run_id, body["spool_id"])
        elif record.kind == "dataset":
            lineage.log_dataset(client, run_id, body)
        elif record.kind == "artifact":
            path = Path(body["path"])
            if not path.exists():
                raise Refused(f"{path} is gone")
            log_files = client.log_artifacts if path.is_dir() else client.log_artifact
            log_files(run_id, str(path), body["artifact_path"] or None)
        elif record.kind == "model":
            if not (self.folder / HELD_FOLDER / body["held"]).is_dir():
                raise Refused(f"the files of the model {body['name']!r} are gone from {self.folder / HELD_FOLDER}")
            version = lineage.register_model(client, self.folder, self.state, record)
            log.info("registered %s version %s", body["name"], version)
        elif record.kind == "status":
            client.set_terminated(run_id, body["status"])
        else:
            raise Refused(f"not a record: {body}")

    def _send_metrics(self, group: Sequence[Record]) -> None:
        from mlflow.entities import Metric, RunTag

        entries: dict[tuple[str, int], Metric] = {}
        for record in group:
            step = record.body["step"]
            for key, value in record.body["metrics"].items():
                if step not in self._sent.get(key, ()) and (key, step) not in entries:
                    entries[key, step] = Metric(key, value, record.time, step)
        metrics = list(entries.values())
        last_step = [RunTag(LAST_STEP_TAG, str(max(record.body["step"] for record in group)))]
        for first in range(0, len(metrics), BATCH - 1):
            # the time is the spool's, so MLflow recognises what it has from before a crash
            self._client.log_batch(self.state.run_id, metrics=metrics[first : first + BATCH - 1], tags=last_step)

    def _send_or_reject(self, record: Record) -> None:
        try:
            self._send([record])
        except Exception as error:
            if not self._is_permanent(error):
                raise
            self._reject(record, error)
        self._note(record)

    def _is_permanent(self, error: Exception) -> bool:
        if isinstance(error, Refused):
            return True
        if getattr(error, "error_code", None) not in PERMANENT:
            return False
        # a run that was deleted in MLflow refuses everything: then the records wait until it is restored
        return self._client.get_run(self.state.run_id).info.lifecycle_stage == "active"

    def _reject(self, record: Record, error: Exception) -> None:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        log.warning("MLflow refuses a %s record for good: %s", record.kind, reason)
        self.state.rejected.append(f"{record.kind} (ends at byte {record.end}): {reason}")

    def _advance(self, group: Sequence[Record]) -> None:
        self.state.offset = group[-1].end
        self.state.save(self.folder)
        for record in group:
            self._note(record)
            if record.kind == "model":
                _remove(self.folder / HELD_FOLDER / record.body["held"])

    def _note(self, record: Record) -> None:
        self.ended = record.kind == "status"
        if record.kind == "metrics":
            for key in record.body["metrics"]:
                self._sent.setdefault(key, set()).add(record.body["step"])


def _remove(folder: Path) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()
