"""What a training program does from the parsed command line to the registered model."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common import pictures
from pipelines.common.codeversion import code_version
from pipelines.common.job import TrainJob
from pipelines.common.kinds import kind_of
from pipelines.common.preflight import check_job, dry_run
from pipelines.common.program import Invocation
from pipelines.common.runs import FINISHED_FILE, RunFolder, identity_hash, open_run, run_identity, run_name
from pipelines.common.sources import Sources, absolute_data
from pipelines.common.storage_paths import default_storage, default_tracking_uri
from pipelines.common.watch import StopSignal, Watch
from vidmodels.core.errors import RunError, VidmodelsError
from vidmodels.core.logs import setup_logging

if TYPE_CHECKING:
    from pipelines.common.spool import Spool
    from pipelines.common.writer import SpoolWriter
    from vidmodels.training.loop import Listener, Outcome

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"
SEND_AT_END_S = 60.0
"""How long an ended program waits for MLflow to take what is left; the rest stays in the spool."""


@dataclass(frozen=True)
class Prepared:
    """A job with its run's folder and, where the run is finished already, what its `finished.json` says."""

    job: TrainJob
    folder: RunFolder
    finished: dict[str, Any] | None


def execute(invocation: Invocation) -> int:
    """Train, draw, register; the exit code (0, or 128 + signal after a checkpoint). Raises VidmodelsError."""
    setup_logging(os.environ.get("VIDMODELS_LOG_LEVEL", "warning"), os.environ.get("VIDMODELS_LOG_JSON") == "1")
    rank = _torchrun_rank()
    if invocation.dry_run:
        return dry_run(make_job(invocation, storage=default_storage()))
    prepared = prepare(invocation)
    job, folder = prepared.job, prepared.folder
    if prepared.finished is not None:
        if rank > 0:
            return 0
        print(f"the run {folder.name} is finished ({_outcome_words(prepared.finished)}): {folder.uri}")
        print("nothing to do; --fresh sets it aside and starts again")
        return 0
    check_job(job, job.run.num_workers if job.run.backend == "ray" else _torchrun_size())
    if rank > 0:
        return _train_quietly(job, folder)
    print(f"run {folder.name} in {folder.uri}: {job.sources.num_videos} videos, code {code_version()}", file=sys.stderr)
    with StopSignal().installed() as stop:
        outcome = run_prepared(prepared, stop)
        if outcome.stopped:
            print(f"stopped at step {outcome.step} with a checkpoint; the same command goes on from it", file=sys.stderr)
            return stop.exit_code or 143
    return 0


def run_prepared(
    prepared: Prepared, stop: Callable[[], bool], listeners: tuple[Listener, ...] = (), parent: str | None = None
) -> Outcome:
    """Train from the newest checkpoint on to the end or until asked to stop; draw, register.

    listeners: hear of the run beside its own records. parent: the spool id of the study that the run is a trial of; a trial
    registers no model, or an alias would go to whichever trial ends last.
    """
    job, folder = prepared.job, prepared.folder
    with ExitStack() as stack:
        spool, writer = _open_lineage(job, folder, stack)
        if spool is not None and writer is not None and parent is not None:
            spool.parent(parent)
            stack.callback(writer.leave)  # the next trial need not wait; the study looks after it at its end
        try:
            if job.run.pictures:
                pictures.sample_batch(job, folder.scratch)
            outcome = _train(job, folder, spool, stop, listeners)
        except BaseException:
            if spool is not None:
                spool.status("FAILED")
            raise
        if outcome.stopped:
            if spool is not None:
                spool.status("KILLED")
            folder.upload()
            return outcome
        finish(job, folder, outcome, spool, registers=parent is None)
        if writer is not None and parent is None and (pending := writer.close(SEND_AT_END_S)):
            log.warning("%d records are not in MLflow yet: vidmodels runs sync %s", pending, writer.folder)
    return outcome


def prepare(invocation: Invocation) -> Prepared:
    """Read the data, name the run and open its folder. Raises VidmodelsError."""
    storage = (invocation.run.storage or default_storage()).rstrip("/")
    return open_job(make_job(invocation, storage), storage, invocation.fresh and _torchrun_rank() == 0)


def open_job(job: TrainJob, storage: str, fresh: bool = False) -> Prepared:
    """The job with its run's folder in the storage. Raises RunError where the name has another recipe."""
    identity = job_identity(job)
    folder, finished = open_run(storage, run_name(job.program, job.run.name, identity), identity, fresh)
    # checkpoints belong to whatever counts as the same run: data that were moved do not make another one
    about = {**job.metadata, "recipe_hash": identity_hash(identity)}
    return Prepared(replace(job, checkpoints=f"{folder.uri}/{CHECKPOINTS}", metadata=about), folder, finished)


def job_identity(job: TrainJob) -> dict[str, Any]:
    """What makes two runs the same: recipe, data, and the weights that are started from."""
    identity = run_identity(job.recipe, job.sources.digest, job.sources.classes)
    if job.init is not None:
        from pipelines.common.lineage import file_sha256

        identity["init_sha256"] = file_sha256(_weights_file(Path(job.init)))
    return identity


def finish(job: TrainJob, folder: RunFolder, outcome: Outcome, spool: Spool | None, registers: bool = True) -> None:
    """Draw the pictures, keep the model, register it (if it is to), and mark the run as finished, in this order."""
    from vidmodels import zoo
    from vidmodels.training.checkpoint import Checkpointer
    from vidmodels.visual.plots import save_loss_curve
    from vidmodels.visual.report import write_report

    checkpoint = Checkpointer(job.checkpoints).newest()
    if checkpoint is None:
        raise RunError(f"no checkpoint in {job.checkpoints} verifies, though the run came to its end: start it again")
    kept = folder.scratch / "model" / "model.safetensors"
    kept.parent.mkdir(parents=True, exist_ok=True)
    weights = "ema.safetensors" if "ema.safetensors" in checkpoint.files else "model.safetensors"
    with checkpoint.local(weights) as path:
        shutil.copyfile(path, kept)
    metrics = {key: value for key, value in outcome.metrics.items() if value == value}
    if "without_sound" in metrics:
        metrics["without_sound"] = _mean_over_run(folder.scratch / "metrics.csv", "without_sound")
    if job.run.pictures:
        model, _ = zoo.load_model(kept)
        save_loss_curve(folder.scratch / "metrics.csv", folder.scratch / "loss_curve.png", job.kind.model_name)
        job.kind.pictures(model, folder.scratch, outcome.evaluation)
    finished = {"step": outcome.step, "metrics": metrics, "bad_samples": outcome.bad_samples, "model": str(kept)}
    name = job.run.register_as or job.kind.model_name
    if spool is not None and registers:
        _register(job, spool, kept, name, outcome.step, metrics)
    folder.write_json(FINISHED_FILE, finished)
    if job.run.pictures:
        write_report(folder.scratch, {"Code": {"version": code_version()}})
    if spool is not None:
        for file in _shown_files(folder.scratch):
            spool.artifact(file)
        spool.status("FINISHED")
        spool.close()
    folder.upload()
    print(f"finished: {_outcome_words(finished)}\nfolder {folder.uri}\nmodel  {kept}")
    if spool is not None and registers:
        print(f"registered as models:/{name}@{job.run.alias}")


def make_job(invocation: Invocation, storage: str, sources: Sources | None = None) -> TrainJob:
    """The job of a recipe. storage: where a synthetic world is kept; sources: its data, where they were read already.

    Raises VidmodelsError.
    """
    recipe = invocation.recipe.replace(data=absolute_data(invocation.recipe.data))
    kind, start = kind_of(recipe), recipe.train.init
    kind.entry_of(recipe)  # a wrong name, or a start that is missing, is said before data is read or rendered
    init = None if start is None else init_path(start, invocation.run.tracking_uri)
    if sources is None:
        sources = kind.load_sources(recipe, storage)
    about = {"data_digest": sources.digest, "code_version": code_version()}
    return TrainJob(invocation.program, recipe, invocation.run, sources, "", init, about)


def init_path(init: str, tracking_uri: str | None) -> str:
    """The local path of weights, so that a name that moves (an alias) is looked up once. Raises VidmodelsError."""
    if init.startswith("models:"):
        from pipelines.common.resolvers import registered_model

        return str(registered_model(init, tracking_uri))
    from vidmodels.weights.files import weights_file

    return str(weights_file(init))


def _weights_file(path: Path) -> Path:
    return path / "model.safetensors" if path.is_dir() else path


def _open_lineage(job: TrainJob, folder: RunFolder, stack: ExitStack) -> tuple[Spool | None, SpoolWriter | None]:
    if not job.run.lineage:
        return None, None
    from pipelines.common.lineage import checked_alias, start_run
    from pipelines.common.spool import Spool
    from pipelines.common.storage_paths import artifact_root
    from pipelines.common.writer import SpoolWriter

    checked_alias(job.run.alias)
    storage = folder.uri.rsplit("/", 1)[0]
    uri = job.run.tracking_uri or default_tracking_uri(storage)
    root = artifact_root(uri, storage)
    writer = stack.enter_context(SpoolWriter(folder.scratch / "lineage", uri, job.run.experiment, folder.name, root))
    spool = stack.enter_context(Spool(folder.scratch / "lineage"))
    start_run(spool, job.program, job.recipe, job.metadata["recipe_hash"], job.sources.digest)
    for context, manifests in (("train", job.sources.train), ("validation", filter(None, [job.sources.val]))):
        for number, manifest in enumerate(manifests):
            path = folder.scratch / "manifests" / f"{context}{number or ''}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            manifest.save(path)
            facts = {"num_videos": len(manifest), "num_classes": len(manifest.classes or ())}
            spool.dataset(context, manifest.digest, path, context, facts)
    return spool, writer


def _train(
    job: TrainJob, folder: RunFolder, spool: Spool | None, stop: Callable[[], bool], others: tuple[Listener, ...]
) -> Outcome:
    from vidmodels.metrics.recorder import MetricsFile
    from vidmodels.training.checkpoint import Checkpointer
    from vidmodels.visual.progress import Progress

    world_size = job.run.num_workers if job.run.backend == "ray" else _torchrun_size()
    plan = job.plan(world_size)
    newest = Checkpointer(job.checkpoints).newest()
    start = newest.step if newest is not None else 0
    recorder = MetricsFile(folder.scratch / "metrics.csv", start)
    videos = plan.total_samples / plan.total_steps
    progress = Progress(plan.total_steps, plan.epoch_length / videos, round(videos * plan.repeats), start)
    with progress:
        listeners = (Watch(progress, recorder, spool), *others)
        if job.run.backend == "ray":
            from pipelines.common import ray_backend

            return ray_backend.train(job, listeners, stop)
        from pipelines.common import local_backend
        from vidmodels.training.distributed import init_world

        return local_backend.train(job, init_world(), listeners, stop, folder.scratch)


def _train_quietly(job: TrainJob, folder: RunFolder) -> int:
    """A worker of torchrun beside the first one."""
    from pipelines.common import local_backend
    from vidmodels.training.distributed import close_world, init_world

    with StopSignal().installed() as stop:
        outcome = local_backend.train(job, init_world(), (), stop, folder.scratch)
    close_world()
    return (stop.exit_code or 143) if outcome.stopped else 0


def _register(job: TrainJob, spool: Spool, kept: Path, name: str, step: int, metrics: dict[str, float]) -> None:
    import json

    from pipelines.common.lineage import version_tags
    from vidmodels import zoo

    about = kept.parent / "model.json"
    about.write_text(json.dumps(zoo.read_metadata(kept), indent=2, sort_keys=True) + "\n")
    tags = {**version_tags(job.metadata["recipe_hash"], job.sources.digest), "model": job.kind.model_name}
    spool.model({"model.safetensors": kept, "model.json": about}, name, tags, job.run.alias, step, metrics)


def _shown_files(folder: Path) -> list[Path]:
    names = ("recipe.json", "finished.json", "metrics.csv", "loss_curve.png", "sample_batch.png", "reconstruction.png",
             "reconstruction.mp4", "*confusion_matrix.png", "average_precision.png", "key_frames.png", "*per_class.csv",
             "report.html")  # fmt: skip
    return [path for name in names for path in sorted(folder.glob(name))]


def _mean_over_run(path: Path, name: str) -> float:
    """The mean of a metric over the whole run, restarts included."""
    from vidmodels.metrics.recorder import read_metrics

    values = [float(row[name]) for row in read_metrics(path)[1] if row.get(name)]
    return sum(values) / max(len(values), 1)


def _outcome_words(finished: dict[str, Any]) -> str:
    metrics = finished.get("metrics", {})
    named = ("loss", "patch_mean_loss", "val_top1", "val_top5", "val_map")
    of_sets = [key for key in metrics if key.startswith("val_") and key.endswith("_top1") and key not in named]
    shown = [f"{key} {metrics[key]:.4g}" for key in (*named, *of_sets) if key in metrics]
    if metrics.get("without_sound"):
        shown.append(f"{100 * metrics['without_sound']:.3g} % of the clips had no sound")
    if metrics.get("val_without_sound"):
        shown.append(f"{metrics['val_without_sound']:.0f} validation videos had none")
    bad = len(finished.get("bad_samples", {}))
    if bad:
        shown.append(f"{bad} videos could not be decoded")
    return ", ".join([f"step {finished.get('step')}", *shown])


def _torchrun_rank() -> int:
    return int(os.environ.get("RANK", "0")) if _torchrun_size() > 1 else 0


def _torchrun_size() -> int:
    text = os.environ.get("WORLD_SIZE", "1")
    if not text.isdigit():
        raise VidmodelsError(f"the environment variable WORLD_SIZE is {text!r}, not a number")
    return int(text)
