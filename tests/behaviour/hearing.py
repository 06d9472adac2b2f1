"""The synthetic world with sound, the same videos without it, and what a classifier makes of either."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import av
import pyarrow as pa

from tests.behaviour.runs import ROOT, VAL_VIDEOS, Lab, _length, _saved
from vidmodels.core.recipe import SyntheticSection
from vidmodels.data.manifest import Manifest
from vidmodels.data.synthetic.cache import synthetic_manifest
from vidmodels.data.synthetic.sound import SOUND_SPLIT


def sound_world(lab: Lab, silent: bool) -> tuple[Path, Path]:
    """Training and validation videos; silent: without their audio streams, the pictures byte for byte the same."""
    found = []
    for split, count in (("train", lab.videos), ("val", 5 * VAL_VIDEOS)):
        section = SyntheticSection(num_videos=count, sound=True)
        manifest = synthetic_manifest(section, split, lab.folder / "synthetic")
        if silent:
            manifest = _silenced(manifest, lab.folder / "silent" / split)
        found.append(_saved(manifest, lab.folder / f"sound-{split}{'-silent' if silent else ''}.parquet"))
    return found[0], found[1]


def sound_accuracy(lab: Lab, seed: int, steps: int, silent: bool) -> tuple[float, float]:
    """Train `avslowfast_tiny` with sound or without; its accuracy on the four classes that sound tells, and on the others."""
    train, val = sound_world(lab, silent)
    name = f"sound-{'silent-' if silent else ''}{steps}-seed{seed}"
    lab.run(
        "train_classifier", name, "avslowfast_tiny", "--data.path", str(train), "--data.val-path", str(val),
        *_length(steps, lab.videos), "--train.seed", str(seed),
    )  # fmt: skip
    out = lab.folder / name / "evaluation"
    command = [
        sys.executable, "pipelines/evaluate_model.py", str(lab.folder / name), "--data.path", str(val), "--out", str(out),
        "--run.backend", "local", "--run.storage", str(lab.folder),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    right = {True: 0.0, False: 0.0}
    videos = {True: 0, False: 0}
    with (out / "per_class.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            told_by_sound = row["name"].startswith(SOUND_SPLIT)
            right[told_by_sound] += float(row["accuracy"]) * int(row["support"])
            videos[told_by_sound] += int(row["support"])
    return right[True] / videos[True], right[False] / videos[False]


def _silenced(manifest: Manifest, folder: Path) -> Manifest:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / Path(uri).name for uri in manifest.table.column("uri").to_pylist()]
    for uri, path in zip(manifest.table.column("uri").to_pylist(), paths):
        if not path.exists():
            _copy_pictures(uri, path.with_suffix(".part.mp4"))
            path.with_suffix(".part.mp4").replace(path)
    table = manifest.table
    for name, values in (("uri", [str(path) for path in paths]), ("bytes", [path.stat().st_size for path in paths])):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table.schema.field(name).type))
    return Manifest(table, manifest.classes)


def _copy_pictures(uri: str, path: Path) -> None:
    with av.open(uri) as source, av.open(str(path), "w") as target:
        pictures = source.streams.video[0]
        copied = target.add_stream_from_template(pictures)
        for packet in source.demux(pictures):
            if packet.dts is not None:
                packet.stream = copied
                target.mux(packet)
