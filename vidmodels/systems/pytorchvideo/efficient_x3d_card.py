"""Rows of EfficientX3D, the X3D for phones. Free of torch."""

from __future__ import annotations

from vidmodels.core.entry import InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.pytorchvideo"


def _entry(expansion: str, clip: tuple[int, int, int], params: int, macs: int, published: str = "") -> ZooEntry:
    frames, stride, size = clip
    released = "" if published else "; no weights of it were ever published"
    return ZooEntry(
        f"efficient_x3d_{expansion.lower()}", "pytorchvideo", f"{_SYSTEM}.efficient_x3d:efficient_x3d",
        f"{_SYSTEM}.efficient_x3d_weights:load", "classify", InputSpec(frames, stride, size, fps=30),
        config={"expansion": expansion, "num_frames": frames, "size": size},
        published={"Kinetics-400": f"{published} top-1 / top-5, 10 clips"} if published else {}, params=params, macs=macs,
        formats=("vidmodels safetensors", "EfficientX3D (.pth)", "PySlowFast (.pyth)", "PyTorchVideo (.pyth)", "Caffe2 (.pkl)"),
        licence="Apache-2.0 (published weights of PyTorchVideo; code here Apache-2.0)",
        summary=f"X3D-{expansion} with a head that pools the whole map, for phones{released}",
    )  # fmt: skip


ENTRIES: tuple[ZooEntry, ...] = (
    _entry("XS", (4, 12, 160), 3_794_322, 605_256_512, "68.5 / 88.0"),
    _entry("S", (13, 6, 160), 3_794_322, 1_962_892_112, "73.0 / 90.6"),
    _entry("M", (16, 5, 224), 3_794_322, 4_732_468_736),
    _entry("L", (16, 5, 312), 6_153_432, 18_367_710_176),
)
