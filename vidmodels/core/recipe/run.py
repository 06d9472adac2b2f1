"""Settings of a run that do not change what is learned: where it runs and where it keeps its files."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vidmodels.core.recipe.base import Section


class RunSection(Section):
    """Where and how a run is executed; outside the recipe's hash."""

    backend: Literal["ray", "local"] = "ray"
    """ray: Ray Data decodes and Ray Train trains; local: this process alone, or torchrun's processes."""
    name: str | None = None
    """Name of the run; default: program and a hash of recipe and data."""
    storage: str | None = None
    """Folder or URI of all runs; default: $VIDMODELS_HOME, else ./runs, in a submitted job ~/.vidmodels/runs."""
    num_workers: int = Field(1, ge=1)
    """Training workers (ray)."""
    gpus_per_worker: float = Field(0, ge=0)
    """GPUs of each training worker (ray); 0 trains on the CPU."""
    cpus_per_worker: int = Field(1, ge=1)
    """CPU cores of each training worker (ray); also its threads on a CPU."""
    decoders: int = Field(1, ge=0)
    """Decoding processes (ray: actors of one core each; local: loader processes, 0 decodes in this process)."""
    decode_labels: tuple[str, ...] = ()
    """Ray node labels as key=value that the decoders must run on, for example pool=cpu-decode."""
    max_failures: int = Field(3, ge=0)
    """Restarts of the training workers after a failure before the run gives up (ray)."""
    tracking_uri: str | None = None
    """MLflow tracking server or store; default: $MLFLOW_TRACKING_URI, else an SQLite file in the storage folder."""
    experiment: str = "vidmodels"
    """MLflow experiment."""
    register_as: str | None = None
    """Name of the registered model; default: the model's name."""
    alias: str = "latest"
    """Alias that the new version gets."""
    lineage: bool = True
    """Keep the run's lineage in MLflow."""
    pictures: bool = True
    """Draw the run's pictures and report."""
    log_every: int = Field(10, ge=1)
    """Steps between two lines of metrics."""
