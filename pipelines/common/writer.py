"""The process beside the driver that sends a spool to MLflow, however slow or absent MLflow is.

`python -m pipelines.common.writer FOLDER` sends what is pending and ends; with `--follow PID` it goes on until it is
told to end on its standard input, or until that process is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import importlib.util
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipelines.common.sender import Sender
from pipelines.common.spool import RunState, pending_records
from pipelines.common.storage_paths import artifact_root, checked_tracking_uri
from vidmodels.core.errors import MissingExtraError, RunError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
MAX_END_PAUSE_SECONDS = 4.0
ORPHAN_SECONDS = 60.0  # how long a writer goes on without success when the driver has ended
SYNC_PATIENCE_SECONDS = 10.0  # the same when a person waits for `runs sync`
EXIT_CODES = (0, 3)  # all is sent, records are pending; anything else is a death


class SpoolWriter:
    """Keeps a writer process for a folder while the `with` block runs.

    folder: the spool's folder; run.json in it keeps the MLflow run, so a later writer continues the same one.
    tracking_uri: MLflow store or server; artifacts: where a new experiment keeps its artifacts (default: by the store).
    Raises MissingExtraError without MLflow. An MLflow that does not answer is no error: see `close`.
    """

    def __init__(self, folder: Path, tracking_uri: str, experiment: str, run_name: str, artifacts: str | None = None) -> None:
        self.folder = Path(folder)
        self._process: subprocess.Popen[str] | None = None
        if importlib.util.find_spec("mlflow") is None:
            raise MissingExtraError("lineage needs MLflow: pip install 'vidmodels[mlflow]', or --run.lineage False")
        prepare(self.folder, checked_tracking_uri(tracking_uri), experiment, run_name, artifacts)

    def __enter__(self) -> SpoolWriter:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # somebody who pressed Ctrl-C does not want to wait
        if self._process is not None and (pending := self.close(60.0 if kind is None else 10.0)):
            log.warning("%d records are not in MLflow yet: vidmodels runs sync %s", pending, self.folder)

    @property
    def pid(self) -> int | None:
        """The writer process, None where none runs."""
        return self._process.pid if self._process is not None else None

    def close(self, timeout_s: float = 60.0) -> int:
        """Give the writer this long for the rest, end it, and answer how many records MLflow does not have yet.

        A run whose spool does not end with a status is marked KILLED, until it is resumed.
        """
        deadline = time.monotonic() + timeout_s
        while self._process is not None:
            process, self._process = self._process, None
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                process.communicate("end\n", timeout=max(0.0, deadline - time.monotonic()))
            died = process.poll() not in (None, *EXIT_CODES)
            _stop(process)
            if died and pending_records(self.folder) and time.monotonic() < deadline:
                log.warning("the lineage writer of %s died (exit code %s): starting it again", self.folder, process.returncode)
                time.sleep(POLL_SECONDS)
                self._start()
        return pending_records(self.folder)

    def leave(self) -> None:
        """Let the writer send the rest by itself, and end; what it does not get rid of within a minute stays in the spool."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):  # it has died: what it left is told by whoever looks at the spool
                process.stdin.write("end\n")
                process.stdin.close()

    def _start(self) -> None:
        command = [sys.executable, "-m", "pipelines.common.writer", str(self.folder), "--follow", str(os.getpid())]
        with open(self.folder / "writer.log", "ab") as output:
            # a session of its own: the driver's Ctrl-C must not take the records along
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=writer_environment(self.folder),
                text=True,
                start_new_session=True,
            )


def sync(folder: Path, timeout_s: float = 600.0) -> int:
    """Send what an ended run left behind; answers how many records are still pending."""
    command = [sys.executable, "-m", "pipelines.common.writer", str(folder)]
    with open(Path(folder) / "writer.log", "ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   env=writer_environment(folder), start_new_session=True)  # fmt: skip
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
        _stop(process)
    return pending_records(folder)


def prepare(folder: Path, tracking_uri: str, experiment: str, run_name: str, artifacts: str | None = None) -> RunState:
    """The folder's run.json, written where it is new. Raises RunError for a folder whose run is in another store."""
    folder.mkdir(parents=True, exist_ok=True)
    state = RunState.load(folder)
    if state.run_id is not None and state.tracking_uri != tracking_uri:
        raise RunError(
            f"the run in {folder} is kept in {state.tracking_uri}, not in {tracking_uri}: "
            "give its own --run.tracking-uri, or start anew with --fresh"
        )
    state.tracking_uri, state.experiment, state.run_name = tracking_uri, experiment, run_name
    state.artifact_root = artifacts or artifact_root(tracking_uri)
    state.spool_id = state.spool_id or uuid.uuid4().hex
    state.save(folder)
    return state


def writer_environment(folder: Path) -> dict[str, str]:
    """The writer's environment: no accelerator, one thread, short requests (it repeats them itself), no reports."""
    root = str(Path(__file__).resolve().parents[2])
    return {
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
        # the SQL registry looks a version's logged model up at MLflow's global address, not at the client's
        "MLFLOW_TRACKING_URI": RunState.load(folder).tracking_uri,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Body of the process; 0 when all is sent, 3 when records are pending."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.common.writer", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--follow", type=int, metavar="PID", help="go on until this process says so or is gone")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with contextlib.suppress(OSError):
        os.nice(5)
    driver = Driver(options.follow)
    with _locked(options.folder, driver) as free:
        if not free:
            log.warning("another writer is at work in %s", options.folder)
            return 3
        return 0 if _run(Sender(options.folder), driver) else 3


class Driver:
    """What the writer knows about the process that it works for: `ending` when it said so or is gone."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._ending = threading.Event()
        self.patience = SYNC_PATIENCE_SECONDS if pid is None else ORPHAN_SECONDS
        if pid is None:
            self._ending.set()
        else:
            threading.Thread(target=self._listen, daemon=True).start()

    @property
    def ending(self) -> bool:
        return self._ending.is_set() or os.getppid() != self._pid

    def pause(self, seconds: float) -> None:
        """Wait, less long where the driver ends."""
        self._ending.wait(seconds)

    def _listen(self) -> None:
        sys.stdin.readline()  # a line, or the end of the pipe when the driver is gone
        self._ending.set()


def _run(sender: Sender, driver: Driver) -> bool:
    """Send until the end; True when nothing is pending."""
    pause, patient_since = POLL_SECONDS, time.monotonic()
    while True:
        ending = driver.ending  # asked before the spool is read: what the driver wrote before it ended is then seen
        try:
            if sender.send_some():
                pause, patient_since = POLL_SECONDS, time.monotonic()
                continue
            if ending:
                sender.mark_killed()
                return True
            driver.pause(POLL_SECONDS)
        except Exception as error:  # whatever the store or the network does: the records stay, and are sent later
            log.warning("MLflow does not take the records (%s: %s): again in %.1f s", type(error).__name__,
                        str(error)[:300], pause)  # fmt: skip
            if not ending:
                driver.pause(pause)
                patient_since = time.monotonic()
            elif time.monotonic() - patient_since > driver.patience:
                return False
            else:
                time.sleep(pause)
            # at the end somebody waits, so a store that comes back is to be noticed soon
            pause = min(pause * 2, MAX_PAUSE_SECONDS if not ending else MAX_END_PAUSE_SECONDS)


@contextlib.contextmanager
def _locked(folder: Path, driver: Driver) -> Iterator[bool]:
    """One writer per folder: a resumed run's writer waits until the former run's has ended."""
    deadline = time.monotonic() + driver.patience
    with open(folder / "writer.lock", "w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if driver.ending and time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(POLL_SECONDS)
        yield True


def _stop(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.kill()  # it notes its progress as a whole, so nothing is lost
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
