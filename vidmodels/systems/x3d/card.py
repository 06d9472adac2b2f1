"""Card of X3D: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.x3d"
_LICENCE = "Apache-2.0 (published weights of PySlowFast and PyTorchVideo; code here Apache-2.0)"
_FORMATS = ("vidmodels safetensors", "PySlowFast (.pyth)", "PyTorchVideo (.pyth)", "EfficientX3D (.pth)", "Caffe2 (.pkl)")
_UNRELEASED = "; no weights of it were ever published"


def _clip(frames: int, stride: int, size: int, test_size: int) -> InputSpec:
    return InputSpec(num_frames=frames, frame_stride=stride, size=size, test_size=test_size, fps=30)


_XS, _S, _M = _clip(4, 12, 160, 182), _clip(13, 6, 160, 182), _clip(16, 5, 224, 256)
_L = _clip(16, 5, 312, 356)
_DEEP: dict[str, Any] = {"depth_factor": 5.0}
_TINY: dict[str, Any] = {
    "width_factor": 1.0, "depth_factor": 1.0, "base_depths": (1, 2, 3, 2), "strides": (1, 2, 2, 2), "head_dim": 256,
    "identity_start": False, "num_classes": 10,
}  # fmt: skip
_WIDE: dict[str, Any] = {**_DEEP, "width_factor": 2.9}


def _classifier(
    name: str, clip: InputSpec, params: int, macs: int, summary: str, k400: str = "", *recipes: str, **config: Any
) -> ZooEntry:
    return ZooEntry(
        name, "x3d", f"{_SYSTEM}.builders:x3d", f"{_SYSTEM}.weights:load", "classify", clip,
        config={"num_frames": clip.num_frames, "size": clip.size, **config}, recipes=recipes,
        published={"Kinetics-400": k400} if k400 else {}, params=params, macs=macs, formats=_FORMATS, licence=_LICENCE,
        summary=summary,
    )  # fmt: skip


def _detector(name: str, params: int, **config: Any) -> ZooEntry:
    return ZooEntry(
        name, "x3d", f"{_SYSTEM}.builders:x3d", f"{_SYSTEM}.weights:load", "detect_actions", _M,
        config={"detection": True, "num_classes": 80, "activation": "sigmoid", "num_frames": 16, "size": 224, **config},
        recipes=(name,), params=params, formats=_FORMATS[:1], licence="Apache-2.0",
        summary="what each given person does" + _UNRELEASED,
    )  # fmt: skip


_TINY_DETECTOR = ZooEntry(
    "x3d_tiny_detector", "x3d", f"{_SYSTEM}.builders:x3d", f"{_SYSTEM}.weights:load", "detect_actions",
    InputSpec(num_frames=16, frame_stride=1, size=64),
    config={
        "detection": True, "num_classes": 10, "activation": "sigmoid", "num_frames": 16, "size": 64, "width_factor": 1.0,
        "depth_factor": 1.0, "base_depths": (1, 2, 3, 2), "dilations": (1, 1, 1, 1), "head_dim": 256,
        "identity_start": False, "dropout": 0.0,
    },
    recipes=("x3d_tiny_detector",), params=234_416, formats=_FORMATS[:1], licence="Apache-2.0",
    summary="for laptops: how each given shape moves",
)  # fmt: skip
ENTRIES: tuple[ZooEntry, ...] = (
    _classifier(
        "x3d_tiny", InputSpec(num_frames=16, frame_stride=1, size=32), 234_128, 42_594_336, "classifier for laptops",
        "", "x3d_tiny", **_TINY,
    ),
    _classifier(
        "x2d_tiny", InputSpec(num_frames=1, frame_stride=8, size=24), 108_314, 837_104,
        "the image network from which a tiny expansion starts", "", "x2d_tiny", bottleneck_factor=1.0, **_TINY,
    ),
    _classifier(
        "x2d", InputSpec(num_frames=1, frame_stride=48, size=112, fps=30), 1_633_560, 20_662_304,
        "the image network from which the family was expanded" + _UNRELEASED, "", "x2d_k400",
        depth_factor=1.0, bottleneck_factor=1.0,
    ),
    _classifier(
        "x3d_xs", _XS, 3_794_322, 605_256_512, "4 frames x 12, 160 pixels",
        "68.7 top-1 10 views, 69.5 top-1 30 views (PyTorchVideo 69.12 / 88.63)", "x3d_xs_k400",
    ),
    _classifier(
        "x3d_s", _S, 3_794_322, 1_962_892_112, "13 frames x 6, 160 pixels",
        "73.1 top-1 10 views, 73.5 top-1 30 views (PyTorchVideo 73.33 / 91.27)", "x3d_s_k400",
    ),
    _classifier(
        "x3d_m", _M, 3_794_322, 4_732_468_736, "16 frames x 5, 224 pixels",
        "75.1 top-1 10 views, 76.2 top-1 30 views (paper 76.0 / 92.3, PyTorchVideo 75.94 / 92.72)", "x3d_m_k400",
    ),
    _classifier(
        "x3d_l", _L, 6_153_432, 18_367_710_176, "16 frames x 5, 312 pixels, deeper",
        "76.9 top-1 10 views, 77.5 top-1 30 views (paper 77.5 / 92.9, PyTorchVideo 77.44 / 93.31)", "x3d_l_k400", **_DEEP,
    ),
    _classifier(
        "x3d_xl", _L, 11_095_904, 35_837_627_616,
        "as L, wider; the width is inferred from the paper's counts, 11.0 M and 35.84 G" + _UNRELEASED,
        "79.1 / 93.9 top-1 / top-5 30 views", **_WIDE,
    ),
    _TINY_DETECTOR,
    _detector("x3d_m_ava", 3_138_642),
    _detector("x3d_l_ava", 5_497_752, **_DEEP),
)  # fmt: skip
