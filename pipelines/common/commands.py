"""The commands of `vidmodels` that need MLflow: `register` and `runs`."""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common import resolvers
from pipelines.common.lineage import Lineage, checked_alias, file_sha256, lineage_of
from pipelines.common.sender import LAST_STEP_TAG
from pipelines.common.spool import SPOOL_FILE, RunState, Spool, pending_records
from pipelines.common.storage_paths import checked_tracking_uri, default_storage, default_tracking_uri, local_folder
from pipelines.common.writer import SpoolWriter, sync
from vidmodels.cli.asking import add_num_classes_option
from vidmodels.core.errors import ConfigError, RunError, WeightsError, did_you_mean
from vidmodels.core.label_sets import NumClasses

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOSS_KEYS = ("loss", "train/loss", "train_loss")


def register(argv: Sequence[str]) -> int:
    """`vidmodels register WEIGHTS --model NAME --alias A [--as NAME]`: bring a weights file to the registry.

    Raises WeightsError for weights that do not load into the model, RunError where the registry does not take them.
    """
    parser = argparse.ArgumentParser(prog="vidmodels register", description="Bring a weights file to the model registry.")
    parser.add_argument("weights", help="weights file in any format that the model reads")
    parser.add_argument("--model", required=True, metavar="NAME", help="the zoo's name of the model")
    parser.add_argument(
        "--alias", default="latest", help="alias that the new version gets (default: latest, the newest version)"
    )
    parser.add_argument("--as", dest="registered_as", metavar="NAME", help="name in the registry (default: the model's)")
    add_num_classes_option(parser)
    parser.add_argument("--tracking-uri", help="MLflow server or store (default: $MLFLOW_TRACKING_URI, else the storage's)")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="how long to wait (default: 600)")
    options = parser.parse_args(list(argv))

    weights = Path(options.weights)
    if not weights.exists():
        raise WeightsError(f"no weights file at {weights}: give the path of a file or folder")
    store = checked_tracking_uri(options.tracking_uri) if options.tracking_uri else default_tracking_uri()
    name, alias = options.registered_as or options.model, checked_alias(options.alias)
    with tempfile.TemporaryDirectory(prefix="vidmodels-register-") as scratch:
        files = convert(weights, options.model, Path(scratch), options.num_classes)
        sha256 = file_sha256(files["model.safetensors"])
        source = {"source_file": weights.name, "model": options.model}
        if weights.is_file():
            source["source_sha256"] = file_sha256(weights)
        home = local_folder(default_storage()) or Path.home() / ".vidmodels"
        # one folder for one content in one store, so that registering twice gives one version
        folder = home / "registered" / f"{name}-{sha256[:12]}-{hash_of(store)}"
        with SpoolWriter(folder, store, "registered", f"register-{name}") as writer, Spool(folder) as spool:
            spool.tags({"program": "register", **source})
            spool.model(files, name, source, alias, step=0)
            spool.status("FINISHED")
            spool.close()
            pending = writer.close(options.timeout)
    if pending:
        raise RunError(f"the registry {store} did not take {name} yet: send it later with `vidmodels runs sync {folder}`")
    state = RunState.load(folder)
    if state.rejected:
        raise RunError(f"the registry {store} refuses {name}: {state.rejected[-1]}")
    version = list(state.versions.values())[-1]["version"]
    print(f"registered {name} version {version} as models:/{name}@{alias} in {store}")
    return 0


def convert(weights: Path, model_name: str, folder: Path, num_classes: NumClasses | None = None) -> dict[str, Path]:
    """Load the weights into the zoo's model, strictly, and write model.safetensors and model.json. Imports torch."""
    from vidmodels import zoo
    from vidmodels.predictors import convert_weights

    path = folder / "model.safetensors"
    convert_weights(model_name, weights, path, num_classes=num_classes)
    (folder / "model.json").write_text(json.dumps(zoo.read_metadata(path), indent=2, sort_keys=True) + "\n")
    return {"model.safetensors": path, "model.json": folder / "model.json"}


def runs(argv: Sequence[str]) -> int:
    """`vidmodels runs [list | models | show RUN_OR_VERSION | sync FOLDER]`; `models` ends with 1 where there is none."""
    parser = argparse.ArgumentParser(prog="vidmodels runs", description="Runs, what they made, and what they made it from.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--tracking-uri", help="MLflow server or store (default: $MLFLOW_TRACKING_URI, else the storage's)")
    common.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(dest="action")
    listing = actions.add_parser("list", parents=[common], help="the runs, newest first (default)")
    listing.add_argument("--limit", type=int, default=30, help="at most this many (default: 30)")
    actions.add_parser("models", parents=[common], help="the registered models at their newest versions; 1 where there is none")
    show = actions.add_parser("show", parents=[common], help="one run, or a registered version back to its data and code")
    show.add_argument("what", help="a run's name or id, or models:/NAME@ALIAS, or models:/NAME/VERSION")
    lineage = actions.add_parser("lineage", parents=[common], help="the same as show, for a registered version")
    lineage.add_argument("what", help="models:/NAME@ALIAS or models:/NAME/VERSION")
    syncing = actions.add_parser("sync", help="send to MLflow what an ended run could not")
    syncing.add_argument("folder", type=Path, help="the run's folder")
    syncing.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="how long at most (default: 600)")
    words = list(argv)
    if not words or words[0] not in {*actions.choices, "-h", "--help"}:
        words = ["list", *words]
    options = parser.parse_args(words)
    if options.action == "sync":
        return _sync(options.folder, options.timeout)
    store = checked_tracking_uri(options.tracking_uri) if options.tracking_uri else default_tracking_uri()
    if options.action == "list":
        return _list(store, options.limit, options.json)
    if options.action == "models":
        return _models(store, options.json)
    return _show(store, options.what, options.json)


def lineage(argv: Sequence[str]) -> int:
    """`vidmodels lineage VERSION`: what a registered version was made from; VERSION as a service's X-Model-Version has it."""
    parser = argparse.ArgumentParser(prog="vidmodels lineage", description="Data, recipe, code and metrics of a model version.")
    parser.add_argument("version", help="NAME/VERSION (a service's X-Model-Version), or models:/NAME@ALIAS")
    parser.add_argument("--tracking-uri", help="MLflow server or store (default: $MLFLOW_TRACKING_URI, else the storage's)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(list(argv))
    uri = options.version if options.version.startswith("models:") else f"models:/{options.version}"
    store = checked_tracking_uri(options.tracking_uri) if options.tracking_uri else default_tracking_uri()
    return _show(store, uri, options.json)


def run_rows(client: MlflowClient, limit: int) -> list[dict[str, Any]]:
    """Newest runs of all experiments: name, id, experiment, status, started, step, loss, registered versions."""
    experiments = {found.experiment_id: found.name for found in client.search_experiments()}
    versions: dict[str, list[str]] = {}
    for model in client.search_registered_models(max_results=1000):
        aliases: dict[str, list[str]] = {}
        for alias, version in model.aliases.items():
            aliases.setdefault(str(version), []).append(alias)
        for entry in client.search_model_versions(f"name = '{model.name}'"):
            marks = "".join(f"@{alias}" for alias in sorted(aliases.get(str(entry.version), [])))
            versions.setdefault(str(entry.run_id), []).append(f"{entry.name}/{entry.version}{marks}")
    found = client.search_runs(list(experiments), order_by=["attributes.start_time DESC"], max_results=limit)
    return [
        {
            "name": run.info.run_name,
            "id": run.info.run_id,
            "experiment": experiments[run.info.experiment_id],
            "status": run.info.status,
            "started": datetime.datetime.fromtimestamp(run.info.start_time / 1000).isoformat(" ", "minutes"),
            "step": run.data.tags.get(LAST_STEP_TAG, ""),
            "loss": _loss(run.data.metrics),
            "registered": " ".join(sorted(versions.get(run.info.run_id, []))),
        }
        for run in found
    ]


def find_spool(folder: Path) -> Path:
    """The folder of the spool: the given one or a folder in it. Raises RunError."""
    if (folder / SPOOL_FILE).is_file():
        return folder
    found = sorted(folder.glob(f"*/{SPOOL_FILE}"))
    if not found:
        raise RunError(f"there is no {SPOOL_FILE} in {folder}: give the folder of a run")
    return found[0].parent


def hash_of(text: str) -> str:
    """Eight hexadecimal digits that tell texts apart in a folder's name."""
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _sync(folder: Path, timeout: float) -> int:
    spool = find_spool(folder)
    state = RunState.load(spool)
    before = pending_records(spool)
    if not before:
        print(f"MLflow ({state.tracking_uri}) has all records of {spool}")
        return 0
    pending = sync(spool, timeout)
    for reason in RunState.load(spool).rejected[len(state.rejected) :]:
        print(f"MLflow refuses a record: {reason}")
    if pending:
        raise RunError(
            f"{pending} of {before} records are still pending: {state.tracking_uri} does not take them; "
            f"{spool / 'writer.log'} says why"
        )
    print(f"sent {before} records of {spool} to {state.tracking_uri}")
    return 0


def _list(store: str, limit: int, as_json: bool) -> int:
    client = resolvers.connect(store)
    rows = run_rows(client, limit)
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    if not rows:
        print(f"no runs in {store}")
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        columns = ("name", "status", "started", "step", "loss", "registered")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row[column]) for column in columns))
        Console().print(table)
    for folder, pending in _pending_folders():
        print(f"{pending} records of {folder} are not in MLflow yet: vidmodels runs sync {folder}")
    return 0


def _models(store: str, as_json: bool) -> int:
    registry = resolvers.MlflowRegistry(store)
    rows = [{"name": name, "version": registry.find(f"models:/{name}@latest")[1]} for name in registry.names()]
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print("\n".join(f"models:/{row['name']}/{row['version']}" for row in rows) or f"no registered model in {store}")
    return 0 if rows else 1


def _show(store: str, what: str, as_json: bool) -> int:
    client = resolvers.connect(store)
    if what.startswith("models:"):
        name, version, alias = resolvers.parse(what)
        found = resolvers.find_version(client, name, version, alias, store)
        facts = [lineage_of(client, name, str(found.version))]
    else:
        run_id = _find_run(client, what, store)
        entries = client.search_model_versions(f"run_id = '{run_id}'")
        facts = [lineage_of(client, entry.name, str(entry.version)) for entry in entries]
        if not facts:
            row = next(row for row in run_rows(client, 50000) if row["id"] == run_id)
            print(json.dumps(row, indent=2) if as_json else "\n".join(f"{key:<11}{value}" for key, value in row.items()))
            return 0
    if as_json:
        print(json.dumps([fact.to_dict() for fact in facts], indent=2))
    else:
        print("\n\n".join(_lines(fact) for fact in facts))
    return 0


def _lines(fact: Lineage) -> str:
    marks = "".join(f"@{alias}" for alias in fact.aliases)
    lines = [
        f"model      {fact.name} version {fact.version} {marks}".rstrip(),
        f"weights    sha256 {fact.checkpoint_sha256} (step {fact.step}, {fact.model_id})",
        f"run        {fact.run_name} ({fact.run_id}, {fact.run_status}, experiment {fact.experiment})",
        f"recipe     {fact.recipe_hash or 'none'}",
        f"code       {fact.code_version}",
        f"data       sha256 {fact.dataset_digest or 'unknown'}",
    ]
    lines += [f"  {data['context']:<8} {data['name']} {data['digest']} from {data['source']}" for data in fact.datasets]
    lines += [f"  {key} = {value}" for key, value in sorted(fact.params.items())]
    if fact.metrics:
        lines += ["metrics", *(f"  {key} = {value:.6g}" for key, value in sorted(fact.metrics.items()))]
    return "\n".join(lines)


def _find_run(client: MlflowClient, what: str, store: str) -> str:
    rows = run_rows(client, 1000)
    matches = [row["id"] for row in rows if what in (row["name"], row["id"])]
    if not matches:
        raise ConfigError(f"no run {what!r} in {store}{did_you_mean(what, [row['name'] for row in rows])}")
    return matches[0]


def _pending_folders() -> list[tuple[Path, int]]:
    storage = local_folder(default_storage())
    if storage is None:
        return []
    folders = sorted(path.parent for depth in ("*", "*/*") for path in storage.glob(f"{depth}/{SPOOL_FILE}"))
    return [(folder, pending) for folder in folders if (pending := pending_records(folder))]


def _loss(metrics: dict[str, float]) -> float | None:
    key = next((key for key in (*LOSS_KEYS, *sorted(metrics)) if key in metrics and "loss" in key), None)
    return None if key is None else metrics[key]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
