"""From a detector's data section to key frames with boxes, of training and validation."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.common.sources import Sources
from vidmodels.core.errors import DataError
from vidmodels.core.recipe import KeyFramesSection
from vidmodels.data.boxed_manifest import BoxedManifest
from vidmodels.data.formats.ava import training_boxes
from vidmodels.data.formats.boxed import BoxesFormat, Names, check_boxes, check_detections, listed, read_names
from vidmodels.data.keyframes import KeyFrames
from vidmodels.data.storage import is_local, local_path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoxedSources(Sources):
    """The data of a detector: manifests of key frames.

    val: the boxes that are scored; truth: what is true of its key frames; evaluated: numbers of the classes that count, None
    for all.
    """

    train: tuple[BoxedManifest, ...]
    val: BoxedManifest | None
    truth: KeyFrames | None = None
    evaluated: tuple[int, ...] | None = None


def load_boxed(data: KeyFramesSection, storage: str, classes: tuple[str, ...] | None = None) -> BoxedSources:
    """Read the boxes that the section names and find their videos, or render the synthetic world.

    classes: those of a trained model, by which labels are numbered. Raises DataError, also for classes that it does not know.
    """
    if data.path is None:
        world = _synthetic(data, storage)
        if classes not in (None, world.classes):
            raise DataError(f"the model's classes are not the {len(world.classes or ())} motions of the synthetic world: give "
                            "boxes in data.path")  # fmt: skip
        return world
    form, names = BoxesFormat(data.format, data.normalised), read_names(data.classes)
    if classes is not None:
        if names.classes not in (None, classes):
            raise DataError(f"the classes in {data.classes} are not those of the model: leave data.classes out")
        names = replace(names, classes=classes)
    truth = form.read(data.path, names, data.excluded)
    names = replace(names, classes=truth.classes)
    train = listed(truth, data.root, data.fps)
    _say_missing(train)
    val = None
    if data.val_path is not None:
        val = listed(form.read(data.val_path, names, data.val_excluded), data.val_root or data.root, data.fps)
        _say_missing(val)
    elif data.val_fraction:
        train, val = train.split(data.val_fraction)
    for manifest in filter(None, (train, val)):
        check_boxes(manifest)
    true_boxes = None if val is None else val.boxes
    named = {*truth.videos, *(() if val is None else (*val.boxes.videos, *val.missing))}
    if data.detections is not None:
        found = form.read_detections(data.detections, names, data.min_score, data.excluded)
        boxes = training_boxes(train.boxes, _detected(found, train, named).boxes, data.min_overlap, data.negatives)
        train = BoxedManifest(boxes, train.files)
    if data.val_detections is not None:
        if val is None:
            raise DataError("data.val_detections are boxes without actions: name the true ones in data.val_path too")
        val = _detected(form.read_detections(data.val_detections, names, data.min_score, data.val_excluded), val, named)
    return _sources(train, val, true_boxes, names)


def _detected(found: KeyFrames, true: BoxedManifest, named: set[str]) -> BoxedManifest:
    """The boxes of a person detector in the videos of the true ones, checked. named: all videos that have true boxes."""
    check_detections(true.boxes, found)
    unknown = [video for video in found.videos if video not in named]
    if unknown:
        log.warning("%s has boxes of %d videos without true ones, which are left out, the first is %s", found.source,
                    len(unknown), unknown[0])  # fmt: skip
    files = {video: true.files[video] for video in true.boxes.videos}
    manifest = BoxedManifest(found.take([index for index, (video, _) in enumerate(found.frames) if video in files]), files)
    check_boxes(manifest)
    return manifest


def _synthetic(data: KeyFramesSection, storage: str) -> BoxedSources:
    from vidmodels.data.synthetic.cache import synthetic_boxes

    cache = Path(local_path(storage)) if is_local(storage) else Path.home() / ".cache" / "vidmodels"
    train = synthetic_boxes(data.synthetic, "train", cache / "synthetic")
    val = synthetic_boxes(data.synthetic, "val", cache / "synthetic")
    return _sources(train, val, val.boxes, Names(train.classes))


def _sources(train: BoxedManifest, val: BoxedManifest | None, truth: KeyFrames | None, names: Names) -> BoxedSources:
    digest = train.digest
    if val is not None:
        digest = hashlib.sha256(f"{train.digest}\n{val.digest}".encode()).hexdigest()
    return BoxedSources((train,), (1.0,), val, digest, truth, names.evaluated)


def _say_missing(manifest: BoxedManifest) -> None:
    if manifest.missing:
        log.warning("%d of the videos that %s names are missing, the first is %s", len(manifest.missing),
                    manifest.boxes.source, manifest.missing[0])  # fmt: skip
