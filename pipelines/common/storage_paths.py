"""Where runs, the MLflow store and its artifacts lie when the user names no place."""

from __future__ import annotations

import os
from pathlib import Path

from vidmodels.core.errors import ConfigError


def in_submitted_job() -> bool:
    """Whether this process is the entry point of `ray job submit`, whose working directory is a temporary copy.

    Ray's job supervisor sets this variable for the entry point, together with RAY_ADDRESS; a driver that was started by
    hand does not have it.
    """
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def default_storage() -> str:
    """Folder or URI of all runs: $VIDMODELS_HOME, else ./runs, in a submitted job ~/.vidmodels/runs."""
    if home := os.environ.get("VIDMODELS_HOME"):
        return home if "://" in home else str(Path(home).expanduser().absolute())
    if in_submitted_job():
        return str(Path.home() / ".vidmodels" / "runs")
    return str(Path("runs").absolute())


def default_tracking_uri(storage: str | None = None) -> str:
    """The MLflow store: $MLFLOW_TRACKING_URI, else an SQLite file in the storage folder.

    SQLite cannot lie in an object store, so for such a storage the file is ~/.vidmodels/mlflow.db.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return checked_tracking_uri(uri)
    folder = local_folder(storage or default_storage())
    return f"sqlite:///{folder if folder is not None else Path.home() / '.vidmodels'}/mlflow.db"


def checked_tracking_uri(uri: str) -> str:
    """The same URI. Raises ConfigError for MLflow's file store, which MLflow itself refuses since 3.0."""
    if "://" not in uri or uri.startswith("file:"):
        raise ConfigError(
            f"the tracking URI {uri!r} is a folder, and MLflow no longer writes its file store: give sqlite:///PATH.db "
            "or the address of a tracking server"
        )
    return uri


def artifact_root(tracking_uri: str, storage: str | None = None) -> str | None:
    """Where a new experiment keeps its artifacts; None leaves it to the tracking server."""
    if tracking_uri.startswith(("http://", "https://")):
        return None
    place = storage or default_storage()
    folder = local_folder(place)
    if folder is None:
        return f"{place.rstrip('/')}/mlartifacts"
    if tracking_uri.startswith("sqlite:///"):
        folder = sqlite_file(tracking_uri).parent
    return (folder / "mlartifacts").as_uri()


def sqlite_file(tracking_uri: str) -> Path:
    """The file of an `sqlite:///` URI (a fourth slash begins an absolute path)."""
    return Path(tracking_uri.removeprefix("sqlite:///").split("?")[0]).absolute()


def local_folder(storage: str) -> Path | None:
    """The storage as a path, None for an object store."""
    if storage.startswith("file://"):
        return Path(storage.removeprefix("file://"))
    return None if "://" in storage else Path(storage).expanduser().absolute()
