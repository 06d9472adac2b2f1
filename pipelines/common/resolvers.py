"""Weights by their name in the registry: `models:/NAME@ALIAS` or `models:/NAME/VERSION` as a local safetensors file."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.common.lineage import LATEST, file_sha256, lineage_of, model_id_of, open_client
from pipelines.common.storage_paths import checked_tracking_uri, default_tracking_uri, sqlite_file
from vidmodels.core.errors import ConfigError, MissingExtraError, WeightsError, did_you_mean
from vidmodels.core.registry import RegisteredModel

if TYPE_CHECKING:
    from mlflow import MlflowClient

ANSWER_SECONDS = 10.0


def registered_model(uri: str, tracking_uri: str | None = None) -> Path:
    """The local safetensors file of `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises ConfigError for an unknown name, alias or version, WeightsError for a server that does not answer or a file
    that is not the one that was registered, MissingExtraError without MLflow.
    """
    return resolve(uri, tracking_uri).path


def resolve(uri: str, tracking_uri: str | None = None) -> RegisteredModel:
    """Like `registered_model`, with the version and its tags."""
    name, version, alias = parse(uri)
    store = checked_tracking_uri(tracking_uri) if tracking_uri else default_tracking_uri()
    client = connect(store)
    found = find_version(client, name, version, alias, store)
    model_id = model_id_of(found)
    folder = _files(client, model_id, store)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise WeightsError(f"{name} version {found.version} in {store} holds no safetensors file: register it again")
    expected = found.tags.get("checkpoint_sha256")
    if expected and file_sha256(weights[0]) != expected:
        raise WeightsError(
            f"{weights[0]} is not the file that was registered as {name} version {found.version} (its SHA-256 "
            "differs): remove it and fetch or register it again"
        )
    return RegisteredModel(name, str(found.version), model_id, weights[0], dict(found.tags))


class MlflowRegistry:
    """`vidmodels.core.registry.Registry` over an MLflow store.

    tracking_uri: default $MLFLOW_TRACKING_URI, else the storage's. The client is made at the first question.
    """

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.store = checked_tracking_uri(tracking_uri) if tracking_uri else default_tracking_uri()
        self._connected: MlflowClient | None = None

    def names(self) -> list[str]:
        if self.store.startswith("sqlite:///") and not sqlite_file(self.store).is_file():
            return []
        return sorted(model.name for model in self._client.search_registered_models(max_results=1000))

    def find(self, uri: str) -> tuple[str, str]:
        found = self._version(uri)
        return found.name, str(found.version)

    def tags(self, uri: str) -> dict[str, str]:
        return dict(self._version(uri).tags)

    def fetch(self, uri: str) -> RegisteredModel:
        return resolve(uri, self.store)

    def lineage(self, uri: str) -> dict[str, Any]:
        return lineage_of(self._client, *self.find(uri)).to_dict()

    @property
    def _client(self) -> MlflowClient:
        self._connected = self._connected or connect(self.store)
        return self._connected

    def _version(self, uri: str) -> Any:
        name, version, alias = parse(uri)
        return find_version(self._client, name, version, alias, self.store)


def parse(uri: str) -> tuple[str, str | None, str | None]:
    """Name, version, alias; one of the last two is None. `@latest` and `/latest` are the newest version.

    Raises ConfigError.
    """
    match = re.fullmatch(r"models:/+([^/@]+)(?:/(\d+)|@([^/@]+)|/latest)", uri)
    if match is None:
        raise ConfigError(f"{uri!r} names no registered model: write models:/NAME@ALIAS or models:/NAME/VERSION")
    return match[1], match[2], match[3] or (None if match[2] else LATEST)


def connect(store: str) -> MlflowClient:
    """A client of a store that is there. Raises WeightsError within seconds where it is not."""
    if importlib.util.find_spec("mlflow") is None:
        raise MissingExtraError("the model registry needs MLflow: pip install 'vidmodels[mlflow]'")
    if store.startswith(("http://", "https://")):
        _check_answers(store)
    elif store.startswith("sqlite:///") and not sqlite_file(store).is_file():
        raise WeightsError(f"there is no model registry at {store}: set MLFLOW_TRACKING_URI or VIDMODELS_HOME")
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return open_client(store)
    except SQLAlchemyError as error:
        raise WeightsError(f"cannot open the model registry {store}: {str(error).splitlines()[0]}") from error


def find_version(client: MlflowClient, name: str, version: str | None, alias: str | None, store: str) -> Any:
    """The registry's entry. Raises ConfigError naming what there is."""
    from mlflow.exceptions import MlflowException

    try:
        known = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise _unanswered(store, error) from error
        names = sorted(model.name for model in client.search_registered_models(max_results=1000))
        there = f"; there are: {', '.join(names[:20])}" if names else "; it is empty"
        raise ConfigError(f"no model {name!r} in the registry {store}{did_you_mean(name, names)}{there}") from None
    if alias == LATEST:
        return max(client.search_model_versions(f"name = '{name}'"), key=lambda entry: int(entry.version))
    if alias is not None:
        if alias not in known.aliases:
            there = ", ".join(sorted(known.aliases)) or "none"
            raise ConfigError(
                f"the model {name!r} has no alias {alias!r}{did_you_mean(alias, known.aliases)}; aliases: {there}"
            )
        version = str(known.aliases[alias])
    try:
        return client.get_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise _unanswered(store, error) from error
        found = sorted((int(entry.version) for entry in client.search_model_versions(f"name = '{name}'")), reverse=True)
        raise ConfigError(f"the model {name!r} has no version {version}; versions: {', '.join(map(str, found[:20]))}") from None


def _files(client: MlflowClient, model_id: str, store: str) -> Path:
    """The logged model's folder on this machine: in place where the store is local, else a copy in the cache."""
    from mlflow.exceptions import MlflowException

    location = client.get_logged_model(model_id).artifact_location
    parts = urllib.parse.urlparse(location)
    local = Path(urllib.parse.unquote(parts.path))
    if parts.scheme in ("", "file") and local.is_dir():
        return local
    cache = _cache_folder() / hashlib.sha256(store.encode()).hexdigest()[:12] / model_id
    if cache.is_dir():
        return cache
    cache.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{model_id}.", dir=cache.parent))
    try:
        import mlflow

        # not by models:/ID, which MLflow looks up at its global address
        fetched = mlflow.artifacts.download_artifacts(artifact_uri=location, dst_path=str(aside), tracking_uri=store)
        Path(fetched).replace(cache)
    except (MlflowException, OSError) as error:
        if not cache.is_dir():  # else another process was faster
            raise WeightsError(f"cannot fetch the model {model_id} from {store}: {str(error).splitlines()[0]}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return cache


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vidmodels" / "models"


def _check_answers(store: str) -> None:
    """Ask the server's health page once: MLflow's own client would repeat for minutes."""
    try:
        urllib.request.urlopen(f"{store.rstrip('/')}/health", timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is seen at the first real request
    except (OSError, ValueError) as error:
        raise _unanswered(store, error) from error


def _unanswered(store: str, error: Exception) -> WeightsError:
    reason = getattr(error, "reason", None) or str(error).splitlines()[0]
    return WeightsError(f"the model registry {store} does not answer ({reason}): check its address in MLFLOW_TRACKING_URI")
