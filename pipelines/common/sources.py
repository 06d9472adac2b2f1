"""From a recipe's data section to manifests, an order and a digest."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pipelines.common.storage_paths import in_submitted_job
from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.recipe import DataSection, LayoutSection, SourceSection, VideosSection
from vidmodels.data.formats import load_manifest
from vidmodels.data.hearing import Hearing
from vidmodels.data.manifest import Manifest
from vidmodels.data.order import Order
from vidmodels.data.reader import TrainReader
from vidmodels.data.storage import is_local, local_path

log = logging.getLogger(__name__)

SectionT = TypeVar("SectionT", bound=VideosSection)


@dataclass(frozen=True)
class Sources:
    """The data of a run: training manifests with their weights, and the validation manifest if there is one."""

    train: tuple[Manifest, ...]
    weights: tuple[float, ...]
    val: Manifest | None
    digest: str

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.train[0].classes

    @property
    def num_videos(self) -> int:
        return sum(len(manifest) for manifest in self.train)

    def order(self, seed: int) -> Order:
        return Order([len(manifest) for manifest in self.train], self.weights, seed)

    def reader(self, data: DataSection, seed: int, hearing: Hearing | None = None) -> TrainReader:
        return TrainReader(self.train, self.order(seed), data.clip, seed, hearing)


def absolute_data(data: SectionT) -> SectionT:
    """The section with absolute local paths; a relative one inside a submitted job is refused."""
    changes: dict = {}
    for key in data.addresses:
        if isinstance(value := getattr(data, key), str):
            changes[key] = _absolute(value, f"data.{key}")
    if not isinstance(data, DataSection):
        return data.replace(**changes)
    changes["sources"] = tuple(
        source.replace(
            path=_absolute(source.path, "data.sources"),
            root=source.root and _absolute(source.root, "root"),
            classes=source.classes and _absolute(source.classes, "classes"),
        )
        for source in data.sources
    )
    return data.replace(**changes)


def load_sources(data: DataSection, storage: str) -> Sources:
    """Read the manifests that the section names, or render the synthetic world. Raises DataError."""
    if data.path is None and not data.sources:
        return _synthetic(data, storage)
    own = {name: getattr(data, name) for name in LayoutSection.model_fields}
    named = data.sources or (SourceSection(path=str(data.path), **own),)
    manifests = [_read(source.path, source, data.multi_label) for source in named]
    class_lists = {manifest.classes for manifest in manifests}
    if len(class_lists) > 1:
        raise DataError("the sources have different lists of classes: give them one class list, or train without labels")
    val = None
    if data.val_path is not None or data.val_split is not None:
        layout = data.replace(split=data.val_split)
        # numbers are those of the training classes, of which the validation videos may have fewer
        val = _read(str(data.val_path or data.path), layout, data.multi_label, manifests[0].classes)
        if val.classes != manifests[0].classes:
            raise DataError(f"the classes of {data.val_path or data.path} are not those of the training videos")
    elif data.val_fraction > 0:
        pairs = [manifest.split(data.val_fraction) for manifest in manifests]
        manifests = [train for train, _ in pairs]
        if len(pairs) > 1:
            raise ConfigError("data.val_fraction works with one source only: name the validation videos in data.val_path")
        val = pairs[0][1]
    return Sources(tuple(manifests), tuple(s.weight for s in named), val, _digest(manifests, val))


def _read(path: str, layout: LayoutSection, multi_label: bool, classes: tuple[str, ...] | None = None) -> Manifest:
    """The manifest of one path; classes: of the training videos. What is missing is counted and named once."""
    manifest = load_manifest(
        path, layout.format, layout.root, multi_label,
        fps=layout.fps, split=layout.split, label=layout.label, classes=classes or layout.classes,
    )  # fmt: skip
    if manifest.missing:
        count, first = len(manifest.missing), manifest.missing[0]
        log.warning("%d of the videos that %s lists are missing, the first is %s", count, path, first)
    for name, count in manifest.lacking.items():
        log.warning(
            "%d of the %d videos of %s have no %s: they count in the other label sets", count, len(manifest), path, name
        )
    return manifest


def _synthetic(data: DataSection, storage: str) -> Sources:
    from vidmodels.data.synthetic.cache import synthetic_manifest

    cache = Path(local_path(storage)) if is_local(storage) else Path.home() / ".cache" / "vidmodels"
    train = synthetic_manifest(data.synthetic, "train", cache / "synthetic")
    val = synthetic_manifest(data.synthetic, "val", cache / "synthetic")
    return Sources((train,), (1.0,), val, _digest([train], val))


def _digest(manifests: list[Manifest], val: Manifest | None) -> str:
    parts = [manifest.digest for manifest in manifests] + ([val.digest] if val is not None else [])
    return parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _absolute(path: str, key: str) -> str:
    if not is_local(path):
        return path
    if not Path(local_path(path)).is_absolute() and in_submitted_job():
        raise ConfigError(
            f"{key} {path!r} is relative, but a submitted job runs in a temporary copy of the working directory "
            "that holds no videos: give an absolute path or a URI"
        )
    return str(Path(local_path(path)).absolute())
