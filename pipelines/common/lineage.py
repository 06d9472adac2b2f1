"""The chain data digest -> recipe and code -> run -> checkpoint -> registered version, in MLflow's terms.

Everything goes through an explicit client, so MLflow's global run and tracking address stay untouched. MLflow is
imported when a function is called: a driver that only writes a spool never loads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common.codeversion import code_version
from pipelines.common.spool import HELD_FOLDER, Record, RunState, Spool
from pipelines.common.storage_paths import sqlite_file
from vidmodels.core.errors import ConfigError, RunError
from vidmodels.core.recipe import Section, flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_LENGTH = 36  # MLflow's limit; the tag `dataset_digest` holds the whole digest
SPOOL_TAG = "vidmodels.spool"
LATEST = "latest"  # MLflow reserves this alias; here it is a model's newest version
MAX_PARAM_CHARS = 6000
MAX_TAG_CHARS = 8000
MAX_ENTRIES = 100  # parameters or tags of one request


def start_run(spool: Spool, program: str, recipe: Section, recipe_hash: str, data_digest: str) -> dict[str, str]:
    """Write the run's resolved recipe and identity to the spool; answers the `version_tags` of its models."""
    tags = version_tags(recipe_hash, data_digest)
    spool.params(flatten(recipe.model_dump(mode="json")))
    spool.tags({"program": program, **tags})
    return tags


def version_tags(recipe_hash: str, data_digest: str) -> dict[str, str]:
    """What a registered version says about its origin; the checkpoint's SHA-256 is added when it is sent."""
    return {"recipe_hash": recipe_hash, "dataset_digest": data_digest, "code_version": code_version()}


def checked_alias(alias: str) -> str:
    """The same alias. Raises ConfigError for one that MLflow will refuse, before a run has spent its hours."""
    reserved = re.fullmatch(r"v\d+", alias, re.IGNORECASE) or (alias.lower() == LATEST and alias != LATEST)
    if reserved or not re.fullmatch(r"[\w-]{1,255}", alias):
        raise ConfigError(f"the alias {alias!r} is not possible: letters, digits, '_' and '-', and not like v12")
    return alias


def open_client(tracking_uri: str) -> MlflowClient:
    """A client of a tracking server or an SQLite file, whose schema is created at first use (seconds)."""
    from mlflow import MlflowClient

    with _schema_lock(tracking_uri):
        client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        if tracking_uri.startswith("sqlite:"):
            client.search_experiments(max_results=1)
        return client


def ensure_experiment(client: MlflowClient, name: str, artifact_root: str | None) -> str:
    """The experiment's id; it is created where there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    try:
        return client.create_experiment(name, artifact_location=artifact_root and f"{artifact_root.rstrip('/')}/{name}")
    except Exception:
        # another run may have created it meanwhile
        if (found := client.get_experiment_by_name(name)) is None:
            raise
        return found.experiment_id


def ensure_run(client: MlflowClient, state: RunState) -> str:
    """The id of the spool's MLflow run, running again; it is created where there is none.

    A writer that died between creating the run and noting its id is covered by the spool's tag.
    """
    if state.run_id is None:
        experiment = ensure_experiment(client, state.experiment, state.artifact_root)
        found = client.search_runs([experiment], f"tags.`{SPOOL_TAG}` = '{state.spool_id}'", max_results=1)
        if found:
            return found[0].info.run_id
        return client.create_run(experiment, tags={SPOOL_TAG: state.spool_id}, run_name=state.run_name).info.run_id
    client.update_run(state.run_id, status="RUNNING")
    return state.run_id


def set_parent(client: MlflowClient, run_id: str, spool_id: str) -> None:
    """Make the run a child of the run with this spool id, in the same experiment.

    Raises RunError where there is none yet: its writer is about to create it, and the record is sent again.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.`{SPOOL_TAG}` = '{spool_id}'", max_results=1)
    if not found:
        raise RunError(f"MLflow has no run with the spool id {spool_id} yet")
    log_tags(client, run_id, {MLFLOW_PARENT_RUN_ID: found[0].info.run_id})


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    """New parameters; MLflow forbids changing one, so what a resumed run changes becomes the tag `resumed.KEY`."""
    from mlflow.entities import Param

    known = client.get_run(run_id).data.params
    cut = {key: value[:MAX_PARAM_CHARS] for key, value in params.items()}
    fresh = [Param(key, value) for key, value in cut.items() if key not in known]
    for first in range(0, len(fresh), MAX_ENTRIES):
        client.log_batch(run_id, params=fresh[first : first + MAX_ENTRIES])
    changed = {f"resumed.{key}": value for key, value in cut.items() if known.get(key, value) != value}
    log_tags(client, run_id, changed)


def log_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Tags of a run; earlier values are replaced."""
    from mlflow.entities import RunTag

    entries = [RunTag(key, value[:MAX_TAG_CHARS]) for key, value in tags.items()]
    for first in range(0, len(entries), MAX_ENTRIES):
        client.log_batch(run_id, tags=entries[first : first + MAX_ENTRIES])


def log_dataset(client: MlflowClient, run_id: str, body: Mapping[str, Any]) -> None:
    """The run's data as an MLflow input, and its manifest as an artifact; a second time changes nothing."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    manifest = body["manifest"]
    uri = manifest if "://" in manifest else Path(manifest).as_uri()
    profile = json.dumps({**body["profile"], "sha256": body["digest"]})
    source = json.dumps({"uri": uri})
    dataset = Dataset(body["name"], body["digest"][:DIGEST_LENGTH], "local", source, profile=profile)
    tags = [InputTag(MLFLOW_DATASET_CONTEXT, body["context"])]
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags)])
    if Path(manifest).is_file():
        client.log_artifact(run_id, manifest, f"datasets/{body['context']}")


def register_model(client: MlflowClient, folder: Path, state: RunState, record: Record) -> str:
    """Upload the held files as a logged model of the run and register it; answers the version.

    Every step looks whether it is done already, because the record is sent again after a crash. The same weights of the
    same run give one version however often they are sent. For a store without a server $MLFLOW_TRACKING_URI has to name
    the client's store (MLflow's SQL registry asks there for the logged model).
    """
    from mlflow.entities import LoggedModelOutput

    run_id, body, held = str(state.run_id), record.body, folder / HELD_FOLDER / record.body["held"]
    files = sorted(path for path in held.iterdir() if path.is_file())
    weights = next((path for path in files if path.suffix == ".safetensors"), files[0])
    tags = {"code_version": code_version(), **body["tags"], "checkpoint_sha256": file_sha256(weights)}
    tags["step"] = str(body["step"])
    _ensure_registered_name(client, body["name"])
    version = _known_version(client, body["name"], run_id, tags["checkpoint_sha256"])
    if version is None:
        done = state.versions.setdefault(body["held"], {"name": body["name"]})
        if "model_id" not in done:
            experiment = client.get_run(run_id).info.experiment_id
            model = client.create_logged_model(
                experiment, _model_name(body["name"]), source_run_id=run_id, tags=tags, model_type="vidmodels"
            )
            done["model_id"] = model.model_id
            state.save(folder)
        model_id = done["model_id"]
        for path in files:
            client.log_model_artifact(model_id, str(path))
        client.finalize_logged_model(model_id, "READY")
        # without this only models logged by a flavour appear among the run's outputs
        outputs = client.get_run(run_id).outputs
        if outputs is None or all(output.model_id != model_id for output in outputs.model_outputs):
            client.log_outputs(run_id, [LoggedModelOutput(model_id, body["step"])])
        for key, value in body["metrics"].items():
            client.log_metric(run_id, f"model/{key}", value, record.time, body["step"], model_id=model_id)
        source = f"models:/{model_id}"
        version = client.create_model_version(body["name"], source, run_id, tags, model_id=model_id).version
    state.versions[body["held"]] = {
        **state.versions.get(body["held"], {}),
        "name": body["name"],
        "version": str(version),
    }
    if body["alias"] not in (None, LATEST):
        client.set_registered_model_alias(body["name"], body["alias"], str(version))
    return str(version)


@dataclass(frozen=True)
class Lineage:
    """What a registered version was made from. datasets: name, digest, context and source of each input of its run."""

    name: str
    version: str
    aliases: tuple[str, ...]
    model_id: str
    checkpoint_sha256: str
    step: str
    run_id: str
    run_name: str
    run_status: str
    experiment: str
    recipe_hash: str
    code_version: str
    dataset_digest: str
    datasets: tuple[dict[str, str], ...]
    params: dict[str, str]
    metrics: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def lineage_of(client: MlflowClient, name: str, version: str) -> Lineage:
    """Follow a registered version back to its data, recipe and code."""
    found = client.get_model_version(name, version)
    aliases = tuple(sorted(a for a, v in client.get_registered_model(name).aliases.items() if str(v) == str(version)))
    run = client.get_run(str(found.run_id))
    inputs = run.inputs.dataset_inputs if run.inputs else []
    datasets = tuple(
        {
            "name": entry.dataset.name,
            "digest": entry.dataset.digest,
            "context": next((tag.value for tag in entry.tags if tag.key.endswith("context")), ""),
            "source": str(json.loads(entry.dataset.source).get("uri", "")),
        }
        for entry in inputs
    )
    tags = found.tags
    return Lineage(
        name=name,
        version=str(found.version),
        aliases=aliases,
        model_id=model_id_of(found),
        checkpoint_sha256=tags.get("checkpoint_sha256", ""),
        step=tags.get("step", ""),
        run_id=run.info.run_id,
        run_name=run.info.run_name or "",
        run_status=run.info.status,
        experiment=client.get_experiment(run.info.experiment_id).name,
        recipe_hash=tags.get("recipe_hash", ""),
        code_version=tags.get("code_version", ""),
        dataset_digest=tags.get("dataset_digest", ""),
        datasets=datasets,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )


def model_id_of(version: Any) -> str:
    """The logged model of a registered version: its `model_id` comes back empty, but its source names it."""
    return version.model_id or version.source.removeprefix("models:/")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _ensure_registered_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _known_version(client: MlflowClient, name: str, run_id: str, sha256: str) -> str | None:
    # the registry filters by one condition only
    found = client.search_model_versions(f"run_id = '{run_id}'")
    return next((str(v.version) for v in found if v.name == name and v.tags.get("checkpoint_sha256") == sha256), None)


def _model_name(name: str) -> str:
    # logged models may not hold these characters in their names
    return "".join("-" if char in "/:.%\"'" else char for char in name)


@contextlib.contextmanager
def _schema_lock(tracking_uri: str) -> Iterator[None]:
    """Two processes that create one SQLite store's schema at once spoil it: one after the other."""
    if not tracking_uri.startswith("sqlite:///"):
        yield
        return
    path = sqlite_file(tracking_uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
