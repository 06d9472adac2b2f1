"""Predictions or features of all videos of a folder or bucket, as Parquet files, resumable.

A row is a video: its best classes with their scores (of several label sets in columns NAME_classes, NAME_scores), or the
features of its clips with their times in seconds. Of a model that hears it also says whether sound was heard.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs as pafs

from pipelines.common.kinds.sound import hearing_of
from pipelines.common.lineage import file_sha256
from pipelines.common.scoring import Scoring, check_task, clip_of, score_videos
from pipelines.common.settings import PredictSettings
from pipelines.common.sources import absolute_data, load_sources
from pipelines.common.storage_paths import default_storage
from vidmodels.core.errors import RunError
from vidmodels.core.label_sets import parts_of
from vidmodels.core.logs import setup_logging
from vidmodels.core.recipe import differing_keys
from vidmodels.data.reader import ViewReader
from vidmodels.data.storage import open_filesystem

# readers of Parquet folders skip names that begin with an underscore
SETTINGS_FILE = "_settings.json"


def predict(settings: PredictSettings) -> int:
    """Compute what is missing in `settings.out` and say how many videos could not be decoded. Raises VidmodelsError."""
    from pathlib import Path

    from pipelines.common.execute import init_path
    from vidmodels import zoo

    setup_logging()
    weights = init_path(settings.model, settings.run.tracking_uri)
    metadata = zoo.read_metadata(weights)
    classes = check_task(metadata, settings.model) if settings.what == "scores" else ()
    sources = load_sources(absolute_data(settings.data), settings.run.storage or default_storage())
    manifest, views = sources.train[0], settings.evaluation
    clip = clip_of(metadata, settings.data.clip)
    identity = {
        "weights_sha256": file_sha256(Path(weights)), "data_digest": manifest.digest, "what": settings.what,
        "clip": clip.model_dump(mode="json"), "views": [views.num_clips, views.num_crops], "part": settings.part,
        "top": settings.top,
    }  # fmt: skip
    system, folder = _open_out(settings.out, identity)
    hearing = hearing_of(zoo.entry(metadata["name"])) if "name" in metadata else None
    reader = ViewReader(manifest, clip, views.num_clips, views.num_crops, hearing=hearing)
    scoring = Scoring(str(weights), settings.what, views.batch_size)
    missing = [n for n in range(-(-len(manifest) // settings.part)) if not _exists(system, _part(folder, n))]
    wanted = [i for n in missing for i in range(n * settings.part, min((n + 1) * settings.part, len(manifest)))]
    if len(wanted) < len(manifest):
        print(f"{len(manifest) - len(wanted)} of {len(manifest)} videos are done already")
    rows: list[dict[str, Any]] = []
    for place, row in enumerate(score_videos(scoring, reader, wanted, settings.run)):
        index = wanted[place]
        rows.append(_row(manifest.row(index), row, settings, classes))
        if index + 1 == len(manifest) or (index + 1) % settings.part == 0:
            _write(system, _part(folder, index // settings.part), rows)
            print(f"{place + 1} of {len(wanted)} videos", flush=True)
            rows = []
    errors = _errors(system, folder, len(manifest), settings.part)
    for key, why in errors[:20]:
        print(f"  not decoded: {key}: {why}")
    print(f"{len(manifest)} videos, {len(errors)} not decoded: {settings.out}")
    return 0


def _row(ref: Any, row: dict[str, Any], settings: PredictSettings, classes: tuple[str, ...]) -> dict[str, Any]:
    if ref.id != row["id"]:
        raise RunError(f"the answer for {row['id']!r} came in the place of {ref.id!r}: the pipeline lost its order")
    out: dict[str, Any] = {"id": ref.id, "uri": ref.uri, "error": row["error"]}
    if "heard" in row:
        out["heard"] = row["heard"]
    if settings.what == "features":
        good = slice(0 if row["error"] else None)
        out["features"] = row["values"].astype(np.float32)[good].tolist()
        out["start"], out["end"] = row["spans"][good, 0].tolist(), row["spans"][good, 1].tolist()
        return out
    for name, (place, names) in parts_of(classes).items():
        values = row["values"][place]
        best: Any = [] if row["error"] else np.argsort(-values, kind="stable")[: settings.top]
        out[f"{name}_classes".removeprefix("_")] = [names[i] for i in best]
        out[f"{name}_scores".removeprefix("_")] = [float(values[i]) for i in best]
    return out


def _open_out(uri: str, identity: dict[str, Any]) -> tuple[pafs.FileSystem, str]:
    """The folder, with the settings that its files were made with. Raises RunError where they are others."""
    system, folder = open_filesystem(uri)
    try:
        system.create_dir(folder, recursive=True)
        if _exists(system, f"{folder}/{SETTINGS_FILE}"):
            with system.open_input_stream(f"{folder}/{SETTINGS_FILE}") as stream:
                different = differing_keys(json.loads(stream.read()), identity)
            if different:
                raise RunError(f"{uri} holds predictions of other settings ({'; '.join(different)}): choose another --out")
            return system, folder
        with system.open_output_stream(f"{folder}/{SETTINGS_FILE}") as stream:
            stream.write((json.dumps(identity, indent=2) + "\n").encode())
    except (OSError, ValueError) as error:
        raise RunError(f"cannot write to {uri}: {error}") from None
    return system, folder


def _write(system: pafs.FileSystem, path: str, rows: list[dict[str, Any]]) -> None:
    """Write a part aside and move it, so that a part that exists is whole."""
    heard = [("heard", pa.bool_())] if "heard" in rows[0] else []
    schema = pa.schema([("id", pa.string()), ("uri", pa.string()), ("error", pa.string()), *heard, *(
        [("features", pa.list_(pa.list_(pa.float32()))), ("start", pa.list_(pa.float64())), ("end", pa.list_(pa.float64()))]
        if "features" in rows[0]
        else [(key, pa.list_(pa.string() if key.endswith("classes") else pa.float32()))
              for key in rows[0] if key.endswith(("classes", "scores"))]
    )])  # fmt: skip
    try:
        pq.write_table(pa.Table.from_pylist(rows, schema), f"{path}.partial", filesystem=system)
        system.move(f"{path}.partial", path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error}; make room and start again, what is done stays") from None


def _errors(system: pafs.FileSystem, folder: str, videos: int, part: int) -> list[tuple[str, str]]:
    found = []
    for number in range(-(-videos // part)):
        table = pq.read_table(_part(folder, number), columns=["id", "error"], filesystem=system)
        found += [(row["id"], row["error"]) for row in table.to_pylist() if row["error"]]
    return found


def _part(folder: str, number: int) -> str:
    return f"{folder}/part-{number:05d}.parquet"


def _exists(system: pafs.FileSystem, path: str) -> bool:
    return system.get_file_info(path).type == pafs.FileType.File
