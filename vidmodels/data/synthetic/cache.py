"""The synthetic world on disk: videos rendered once into a cache that is atomic, resumable and keyed by its content.

A folder `synthetic-KEY/SPLIT/` holds `000000.mp4 ...`, a manifest for each number of videos asked for, and (asked for)
`truth-COUNT.parquet`. KEY covers everything that shapes a video but not how many there are, so that a larger world
goes on from a smaller one.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from vidmodels.core.errors import ConfigError, DataError
from vidmodels.core.label_sets import LabelSets
from vidmodels.core.recipe.data import SyntheticSection
from vidmodels.data.synthetic.encode import encode_mp4
from vidmodels.data.synthetic.render import Rendered, draw, render
from vidmodels.data.synthetic.shapes import COLORS
from vidmodels.data.synthetic.world import FPS, GENERATOR_VERSION, Scene, WorldSpec, rng_for, sample_scene

if TYPE_CHECKING:
    import pyarrow as pa

    from vidmodels.data.boxed_manifest import BoxedManifest
    from vidmodels.data.manifest import Manifest

log = logging.getLogger(__name__)
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def split_size(section: SyntheticSection, split: Split) -> int:
    """Videos of a split: `num_videos` for training, a fifth of it (10 at least) for each of the others."""
    return section.num_videos if split == "train" else max(section.num_videos // 5, 10)


def split_seed(seed: int, split: Split) -> int:
    """Seed of a split; no two splits share a video. Raises ConfigError for an unknown split."""
    if split not in SPLITS:
        raise ConfigError(f"synthetic world: no split {split!r}, choose one of {', '.join(SPLITS)}")
    return int(np.random.SeedSequence([seed & 0xFFFFFFFF, 7, SPLITS.index(split)]).generate_state(1)[0])


def cache_key(section: SyntheticSection, spec: WorldSpec) -> str:
    """Name of the folder of a world: a hash of its parameters and of the generator's version."""
    fields = {"generator": GENERATOR_VERSION, "seed": section.seed, **dataclasses.asdict(spec)}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def synthetic_manifest(
    section: SyntheticSection,
    split: Split,
    cache_dir: str | Path,
    *,
    spec: WorldSpec | None = None,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Manifest of a split, rendering what the cache does not hold yet.

    spec: further options of the world (sound, figures, occlusion); its size, length and polarity replace the
    section's. processes: more than 1 renders in a pool. progress(done, total) is called as videos get ready.
    Raises DataError when the cache cannot be written.
    """
    from vidmodels.data.manifest import SET_COLUMN, Manifest

    spec = spec or WorldSpec.of(section)
    folder = _folder(section, split, cache_dir, spec)
    count = split_size(section, split)
    listing = folder / f"manifest-{count}{'-colors' * section.colors}.parquet"
    if listing.exists() and (known := _sizes(listing)) is not None:
        paths = _paths(folder, count)
        broken = [i for i, p in enumerate(paths) if not p.exists() or p.stat().st_size != known[i]]
        for i in broken:
            paths[i].unlink(missing_ok=True)
    _render_missing(split_seed(section.seed, split), spec, folder, count, processes, progress)
    table, classes = _table(section, split, spec, folder, count), spec.classes
    if section.colors and classes:
        names = tuple(COLORS)
        classes = LabelSets({"motion": classes, "color": names})
        table = table.rename_columns({"label": f"{SET_COLUMN}motion"})
        scenes = (synthetic_scene(section, split, index, spec) for index in range(count))
        table = table.append_column(f"{SET_COLUMN}color", [[names.index(scene.actor.color_name) for scene in scenes]])
    manifest = Manifest(table, classes)
    _write(listing, lambda path: manifest.save(path))
    return manifest


def synthetic_boxes(
    section: SyntheticSection, split: Split, cache_dir: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> BoxedManifest:
    """Key frames of a split of the crowded world: videos with several actors, and the box and motion of each.

    The boxes lie beside the videos in `boxes-COUNT.parquet`, which can be read like any file of boxes. Raises DataError.
    """
    from vidmodels.data.boxed_manifest import BoxedManifest, VideoFile
    from vidmodels.data.formats.boxes import read_boxes
    from vidmodels.data.synthetic.motion import CLASSES

    spec = WorldSpec.of(section, setting="crowd")
    videos = synthetic_manifest(section, split, cache_dir, spec=spec, progress=progress)
    path = _folder(section, split, cache_dir, spec) / f"boxes-{len(videos)}.parquet"
    if not path.exists():
        _write_boxes(split_seed(section.seed, split), spec, len(videos), path)
    places = zip(videos.table["uri"].to_pylist(), videos.table["bytes"].to_pylist())
    files = {Path(uri).name: VideoFile(uri, size) for uri, size in places}
    return BoxedManifest(read_boxes(str(path), CLASSES), files)


def _write_boxes(seed: int, spec: WorldSpec, count: int, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from vidmodels.data.synthetic.crowd import crowd_boxes, key_time

    time = key_time(spec.num_frames, FPS)
    rows: list[dict] = []
    for index in range(count):
        rows += crowd_boxes(sample_scene(seed, index, spec), f"{index:06d}.mp4", time)
    _write(path, lambda target: pq.write_table(pa.Table.from_pylist(rows), target))


def synthetic_scene(section: SyntheticSection, split: Split, index: int, spec: WorldSpec | None = None) -> Scene:
    """Scene behind video number `index` of a split; `render` of it gives masks, flow and all other truth."""
    return sample_scene(split_seed(section.seed, split), index, spec or WorldSpec.of(section))


def synthetic_truth(
    section: SyntheticSection, split: Split, cache_dir: str | Path, *, spec: WorldSpec | None = None
) -> pa.Table:
    """Truth of a split that fits a table, one row a video, kept beside the videos once computed.

    Columns: id, label, class_name, ids [N], categories [N], boxes and amodal_boxes [T*N*4], visibility [T*N],
    keypoints [T*N*13*3] or empty, sound_events, questions (JSON), captions. Masks and flow come from
    `render(synthetic_scene(...))`: computing them again is faster than reading them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    spec = spec or WorldSpec.of(section)
    folder = _folder(section, split, cache_dir, spec)
    count = split_size(section, split)
    path = folder / f"truth-{count}.parquet"
    if path.exists():
        return pq.read_table(path)
    seed = split_seed(section.seed, split)
    rows = [_truth_row(f"{split}/{i:06d}", render(sample_scene(seed, i, spec))) for i in range(count)]
    table = pa.Table.from_pylist(rows)
    _write(path, lambda target: pq.write_table(table, target))
    return table


def _truth_row(name: str, rendered: Rendered) -> dict:
    truth = rendered.truth
    return {
        "id": name,
        "label": truth.label,
        "class_name": truth.class_name,
        "ids": truth.ids.tolist(),
        "categories": list(truth.categories),
        "boxes": truth.boxes.ravel().tolist(),
        "amodal_boxes": truth.amodal_boxes.ravel().tolist(),
        "visibility": truth.visibility.ravel().tolist(),
        "keypoints": [] if truth.keypoints is None else truth.keypoints.ravel().tolist(),
        "sound_events": json.dumps([dataclasses.asdict(event) for event in truth.sound_events]),
        "questions": json.dumps([dataclasses.asdict(question) for question in truth.questions]),
        "captions": list(truth.captions),
    }


def _folder(section: SyntheticSection, split: Split, cache_dir: str | Path, spec: WorldSpec) -> Path:
    split_seed(section.seed, split)
    folder = Path(cache_dir) / f"synthetic-{cache_key(section, spec)}" / split
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"synthetic world: cannot create the cache {folder} ({error}); choose a folder to write") from error
    return folder


def _paths(folder: Path, count: int) -> list[Path]:
    return [folder / f"{index:06d}.mp4" for index in range(count)]


def _sizes(listing: Path) -> list[int] | None:
    """Sizes that a manifest promises, or None when it cannot be read (then it is made again)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(listing, columns=["bytes"])["bytes"].to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        log.warning("the synthetic world's manifest %s is damaged (%s) and is made again", listing, error)
        return None


def _render_missing(
    seed: int,
    spec: WorldSpec,
    folder: Path,
    count: int,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    # files that begin with a dot are being written by somebody, and may be gone before they are looked at
    videos = (entry for entry in os.scandir(folder) if not entry.name.startswith("."))
    present = {entry.name for entry in videos if entry.stat().st_size > 0}
    missing = [index for index, path in enumerate(_paths(folder, count)) if path.name not in present]
    if not missing:
        return
    log.info("rendering %d of %d synthetic videos into %s", len(missing), count, folder)
    done = count - len(missing)
    for ready in _rendered(seed, spec, folder, missing, processes):
        done += ready
        if progress is not None:
            progress(done, count)


def _rendered(seed: int, spec: WorldSpec, folder: Path, missing: list[int], processes: int) -> Iterable[int]:
    """Render the missing videos; yields how many each finished piece of work held."""
    pieces = [missing[i : i + 50] for i in range(0, len(missing), 50)]
    if processes <= 1 or len(pieces) == 1:
        for piece in pieces:
            yield render_videos(seed, spec, folder, piece)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    # Spawned, not forked: the caller may hold threads (a trainer, a reader) that a fork would break.
    with ProcessPoolExecutor(min(processes, len(pieces)), mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(render_videos, seed, spec, folder, piece) for piece in pieces]):
            yield future.result()


def render_videos(seed: int, spec: WorldSpec, folder: Path, indices: list[int]) -> int:
    """Render and write some videos; each appears whole or not at all. Returns how many."""
    for index in indices:
        content = video_bytes(sample_scene(seed, index, spec))
        _write(folder / f"{index:06d}.mp4", functools.partial(_write_bytes, content))
    return len(indices)


def _write_bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def video_bytes(scene: Scene) -> bytes:
    """The MP4 of a scene, without computing its truth."""
    from vidmodels.data.synthetic.sound import synthesize

    audio = None
    if scene.spec.sound:
        audio = synthesize(scene.events, scene.duration, rng_for(scene.seed, 4, scene.index))
    return encode_mp4(draw(scene)[0], FPS, audio)


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write aside and rename: another process, or the next run, never sees half a file."""
    try:
        handle, name = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
        os.close(handle)
        try:
            write(Path(name))
            os.chmod(name, 0o644)
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"synthetic world: cannot write {path} ({error}); free some space or choose another cache") from error


def _table(section: SyntheticSection, split: Split, spec: WorldSpec, folder: Path, count: int) -> pa.Table:
    import pyarrow as pa

    from vidmodels.data.synthetic.world import label_of

    seed = split_seed(section.seed, split)
    paths = _paths(folder, count)
    classes = spec.classes
    labels = [label_of(seed, i, len(classes)) if classes else -1 for i in range(count)]
    return pa.table(
        {
            "id": pa.array([f"{split}/{i:06d}" for i in range(count)], pa.string()),
            "uri": pa.array([str(path.resolve()) for path in paths], pa.string()),
            "bytes": pa.array([path.stat().st_size for path in paths], pa.int64()),
            "label": pa.array(labels, pa.int64()),
            "start": pa.array([float("nan")] * count, pa.float64()),
            "end": pa.array([float("nan")] * count, pa.float64()),
        }
    )
