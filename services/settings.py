"""Settings of the services: what `vidmodels serve --config FILE` and the `args` of a Serve application may say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from vidmodels.core.errors import ConfigError
from vidmodels.core.recipe.base import Section
from vidmodels.data.probe import Limits


class LimitSection(Section):
    """What a request may cost; everything is refused before it is decoded, with the limit in the answer."""

    body_mb: float = Field(200, gt=0)
    """Megabytes of an upload."""
    json_kb: float = Field(1024, gt=0)
    """Kilobytes of a JSON body."""
    json_depth: int = Field(20, ge=1)
    """Levels of lists and objects in each other."""
    seconds: float = Field(600, gt=0)
    """Length of a video."""
    frames: int = Field(36_000, ge=1)
    """Frames of a video."""
    side: int = Field(4096, ge=16)
    """Pixels of a video's width and of its height."""
    fps: float = Field(120, gt=0)
    """Frames per second of a video."""
    audio_channels: int = Field(8, ge=0)
    """Channels of a video's sound."""
    decoded_gb: float = Field(2, gt=0)
    """Gigabytes of frames in one read."""
    windows: int = Field(1200, ge=1)
    """Windows of one video that a model answers for."""
    boxes: int = Field(256, ge=1)
    """Boxes of people at one time."""
    deadline_s: float = Field(120, gt=0)
    """Seconds that a request may take; a request may ask for less."""
    idle_s: float = Field(20, gt=0)
    """Seconds without a byte after which an upload is given up."""

    def of_media(self) -> Limits:
        """As the probe wants them."""
        return Limits(
            self.seconds, self.frames, self.side, self.side, self.fps, self.audio_channels, 16, int(self.decoded_gb * 1e9)
        )


class ModelSection(Section):
    """A model of the registry and how it is served."""

    source: str
    """models:/NAME@ALIAS, which follows the alias, or models:/NAME/VERSION."""
    name: str | None = None
    """What requests call it; default: its name in the registry."""
    host: str | None = None
    """Models with the same word here share a replica; default: a replica of its own."""
    precision: str = "float32"
    """float32, bf16, or fast (bf16 where the hardware has units for it)."""


class ReplicaSection(Section):
    """How many replicas there are, what each takes, and how much it holds."""

    min_replicas: int = Field(1, ge=1)
    """Replicas that are always there."""
    max_replicas: int = Field(1, ge=1)
    """Replicas under load."""
    cpus: float = Field(1, ge=0)
    """Logical cores of a replica; also its threads on a CPU."""
    gpus: float = Field(0, ge=0)
    """GPUs of a replica."""
    resources: dict[str, float] = {}
    """Ray resources of a replica, which bind it to a group of nodes."""
    max_ongoing: int = Field(32, ge=1)
    """Calls that a replica holds."""
    max_queued: int = Field(64, ge=0)
    """Calls that wait for a replica; further ones are refused at once."""


class HostSection(ReplicaSection):
    """The replicas that compute."""

    target_ongoing: float = Field(4, gt=0)
    """Calls of a replica at which another one is started."""
    max_batch: int = Field(16, ge=1)
    """Clips that are computed at once, of one request or of several."""
    batch_wait_ms: float = Field(0, ge=0)
    """How long a clip waits for others while nothing is computed; those that come meanwhile are the next batch anyway."""


class DecoderSection(ReplicaSection):
    """The replicas that read media in sandboxes; they use no GPU."""

    children: int = Field(2, ge=1)
    """Sandboxes of a replica that work at the same time."""


class StreamSection(Section):
    """Streams: pushed frames, whose state lies on one replica."""

    replicas: int = Field(1, ge=1)
    """Replicas that hold streams."""
    sessions: int = Field(64, ge=1)
    """Streams of a replica."""
    per_token: int = Field(8, ge=1)
    """Open streams of a token."""
    idle_s: float = Field(300, gt=0)
    """Seconds without a frame or a reader after which a stream is dropped."""


class ServiceSettings(Section):
    """The whole service. Paths are of every node; on several nodes `spool` and `tokens` lie where all can read them."""

    models: tuple[ModelSection, ...] | None = None
    """What is served; default: every registered model at its newest version."""
    registry: str | None = None
    """MLflow server or store; default: $MLFLOW_TRACKING_URI, else the storage's."""
    poll_s: float = Field(5, gt=0)
    """Seconds between two looks at the registry."""
    tokens: str | None = None
    """File of the tokens; default: tokens.json in the storage folder."""
    spool: str | None = None
    """Folder where uploads lie while they are answered; default: one of this user in the temporary folder."""
    spool_free_mb: float = Field(512, ge=0)
    """Megabytes that stay free in the spool's file system."""
    stores: dict[str, str] = {}
    """Places that requests may name as STORE:PATH: a folder or an address in an object store for each name."""
    url_hosts: tuple[str, ...] = ()
    """Hosts whose https addresses requests may name; none by default."""
    cors_origins: tuple[str, ...] = ()
    """Origins of other sites' pages that may call the service."""
    gateways: int = Field(1, ge=1)
    """Replicas of the gateway."""
    max_requests: int = Field(256, ge=1)
    """Requests of all kinds that a gateway holds."""
    max_media: int = Field(64, ge=1)
    """Requests about videos that a gateway holds; further ones are refused before their body is read."""
    limits: LimitSection = LimitSection()
    host: HostSection = HostSection()
    hosts: dict[str, HostSection] = {}
    """Other settings for the replicas of some `host` words or model names."""
    decoder: DecoderSection = DecoderSection()
    streams: StreamSection = StreamSection()

    @model_validator(mode="after")
    def _names_differ(self) -> ServiceSettings:
        names = [model.name or model.source for model in self.models or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two models are called {twice!r}: give one of them another name")
        return self

    def host_of(self, word: str) -> HostSection:
        """Settings of the replicas of a host word."""
        return self.hosts.get(word, self.host)


def read_settings(path: str | Path | None, changes: dict[str, Any] | None = None) -> ServiceSettings:
    """Settings of a JSON file, or the defaults, with some replaced. Raises ConfigError that names the key."""
    values: Any = {}
    if path is not None:
        try:
            values = json.loads(Path(path).read_text())
        except OSError as error:
            raise ConfigError(f"no settings at {path} ({error.strerror}): give the path of a JSON file") from None
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON ({error}): correct it") from None
    try:
        return ServiceSettings.model_validate({**values, **(changes or {})} if isinstance(values, dict) else values)
    except ValidationError as error:
        raise ConfigError(f"settings of the service: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """The first of a validation's faults in words: its key, what is wrong, and the value."""
    fault = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in fault["loc"]) or "the whole"
    shown = "" if isinstance(fault["input"], dict) else f", not {str(fault['input'])[:80]!r}"
    what = "is not a setting" if fault["type"] == "extra_forbidden" else f"{fault['msg'].removeprefix('Value error, ')}{shown}"
    return f"{key}: {what}"


def storage_folder() -> Path:
    """The folder of runs, where the service keeps its own files: $VIDMODELS_HOME, else ./runs."""
    home = os.environ.get("VIDMODELS_HOME", "")
    return Path(home).expanduser().absolute() if home and "://" not in home else Path("runs").absolute()
