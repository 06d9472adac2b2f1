"""The spool: what a run has to say to MLflow, appended to a file beside the run and sent by another process.

Training never waits for MLflow: a call here is one write to a local file.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vidmodels.core.errors import RunError

SPOOL_FILE = "spool.jsonl"
STATE_FILE = "run.json"
HELD_FOLDER = "held"
SYNC_SECONDS = 2.0  # at most this much is lost when the machine, not only the process, dies

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Spool:
    """The writing end, held by one process (the driver). Every call appends one line and returns at once.

    Raises RunError where the line cannot be written (disk full): records are never dropped silently.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._lock = threading.Lock()
        self._synced = time.monotonic()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.folder / SPOOL_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(self._file).st_size
            # a power cut may leave half a line: end it, so that it spoils no other
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                os.write(self._file, b"\n")
        except OSError as error:
            raise RunError(f"cannot open the spool in {self.folder}: {error}") from error

    def params(self, params: Mapping[str, Any]) -> None:
        """Settings of the run; a setting that a resumed run changes is kept as the tag `resumed.KEY`."""
        self._append("params", {"params": {key: _text(value) for key, value in params.items()}}, sync=True)

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Tags of the run; later values replace earlier ones."""
        self._append("tags", {"tags": {key: _text(value) for key, value in tags.items()}}, sync=True)

    def parent(self, spool_id: str) -> None:
        """The run is a part of another one, which MLflow shows above it: the run with this spool id."""
        self._append("parent", {"spool_id": spool_id}, sync=True)

    def metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Values at a global step; the first value of a (key, step) counts, so a resumed run may repeat steps."""
        self._append("metrics", {"metrics": {key: float(value) for key, value in metrics.items()}, "step": int(step)})

    def artifact(self, local_path: str | os.PathLike[str], artifact_path: str = "") -> None:
        """A file or folder to be uploaded under `artifact_path`; it has to stay where it is until it is sent."""
        self._append("artifact", {"path": str(Path(local_path).absolute()), "artifact_path": artifact_path})

    def dataset(
        self,
        name: str,
        digest: str,
        manifest_path: str | os.PathLike[str],
        context: str = "train",
        profile: Mapping[str, Any] | None = None,
    ) -> None:
        """The data that the run learns from: the manifest's SHA-256 and facts about it (number of videos, classes)."""
        manifest = str(manifest_path)
        body = {
            "name": name,
            "digest": digest,
            "manifest": manifest if "://" in manifest else str(Path(manifest).absolute()),
        }
        self._append("dataset", {**body, "context": context, "profile": dict(profile or {})}, sync=True)

    def model(
        self,
        files: Mapping[str, str | os.PathLike[str]],
        name: str,
        version_tags: Mapping[str, Any],
        alias: str | None,
        step: int,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """A version to register: `files` by name, of which model.safetensors gives the version its SHA-256.

        The files are held (hard links where the disk can) until they are sent: a checkpoint may be pruned meanwhile.
        """
        held = self.folder / HELD_FOLDER / str(time.time_ns())
        try:
            held.mkdir(parents=True)
            for file_name, path in files.items():
                _link_or_copy(Path(path), held / file_name)
        except OSError as error:
            raise RunError(f"cannot hold the files of the model {name!r} in {held}: {error}") from error
        body: dict[str, Any] = {"name": name, "held": held.name, "alias": alias, "step": int(step)}
        body["tags"] = {key: _text(value) for key, value in version_tags.items()}
        body["metrics"] = {key: float(value) for key, value in (metrics or {}).items()}
        self._append("model", body, sync=True)

    def status(self, status: Status) -> None:
        """The end of the run."""
        self._append("status", {"status": status}, sync=True)

    def close(self) -> None:
        """Bring the file to the disk and close it; a second call does nothing."""
        with self._lock:
            if self._file >= 0:
                os.fsync(self._file)
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, kind: str, body: dict[str, Any], sync: bool = False) -> None:
        line = (json.dumps({"kind": kind, "time": time.time_ns() // 1_000_000, **body}) + "\n").encode()
        with self._lock:
            if self._file < 0:
                raise RunError(f"the spool in {self.folder} is closed: a {kind} record came after the end of the run")
            try:
                while line:
                    line = line[os.write(self._file, line) :]
                if sync or time.monotonic() - self._synced > SYNC_SECONDS:
                    os.fsync(self._file)
                    self._synced = time.monotonic()
            except OSError as error:
                raise RunError(f"cannot write to {self.folder / SPOOL_FILE}: {error}; make room and start again") from error


@dataclass(frozen=True)
class Record:
    """One line of the spool. kind "damaged": a line that does not parse; end: the offset behind the line, in bytes."""

    kind: str
    time: int
    body: dict[str, Any]
    end: int


def read_records(folder: Path, start: int = 0, stop: int | None = None) -> Iterator[Record]:
    """The complete lines from byte `start` on (to byte `stop`); a line still being written is left for later."""
    path = Path(folder) / SPOOL_FILE
    if not path.is_file():
        return
    with open(path, "rb") as stream:
        stream.seek(start)
        offset = start
        while (stop is None or offset < stop) and (line := stream.readline()).endswith(b"\n"):
            offset += len(line)
            if line.strip():
                yield _parsed(line, offset)


def pending_records(folder: Path) -> int:
    """Number of records that MLflow does not have yet."""
    return sum(1 for _ in read_records(folder, RunState.load(folder).offset))


@dataclass
class RunState:
    """How far the spool is sent, in `run.json`: replaced as a whole, so a killed writer leaves the old or the new one.

    spool_id: tag by which a run or model that was created just before a crash is found again.
    versions: registered versions by the name of their held folder: {"model_id": ..., "name": ..., "version": ...}.
    rejected: records that MLflow refuses for good, with its reason.
    """

    tracking_uri: str = ""
    experiment: str = ""
    run_name: str = ""
    artifact_root: str | None = None
    spool_id: str = ""
    run_id: str | None = None
    offset: int = 0
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path) -> RunState:
        """The folder's state, empty where there is none. Raises RunError for a damaged file."""
        path = Path(folder) / STATE_FILE
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"cannot read {path}: {error}") from error

    def save(self, folder: Path) -> None:
        """Replace the file as a whole."""
        path = Path(folder) / STATE_FILE
        aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with open(aside, "w") as stream:
            stream.write(json.dumps(self.__dict__, indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)


def _parsed(line: bytes, end: int) -> Record:
    try:
        body = json.loads(line)
        return Record(body.pop("kind"), body.pop("time"), body, end)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Record("damaged", 0, {"line": line[:200].decode(errors="replace")}, end)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except FileNotFoundError:
        raise
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)
