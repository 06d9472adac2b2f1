"""Card of MViT: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.mvit"
_LICENCE = "Apache-2.0 (PySlowFast, PyTorchVideo), BSD-3-Clause (torchvision), as their published weights; code here Apache-2.0"
_FORMATS = ("vidmodels safetensors", "PySlowFast (.pyth)", "PyTorchVideo (.pyth)", "torchvision (.pth)")
_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

_HUB: dict[str, Any] = {"pool_norm_eps": 1e-5}
_B24: dict[str, Any] = {"depth": 24, "stage_starts": (2, 5, 21)}


def _clip(frames: int, stride: int) -> InputSpec:
    return InputSpec(num_frames=frames, frame_stride=stride, size=224, fps=30)


def _video(
    name: str, frames: int, stride: int, params: int, macs: int, data: tuple[str, ...], published: dict[str, str], **config: Any
) -> ZooEntry:
    return ZooEntry(
        name, "mvit", f"{_SYSTEM}.builders:mvit", f"{_SYSTEM}.weights:load", "classify", _clip(frames, stride),
        config={"num_frames": frames, "num_classes": 400, **config}, recipes=tuple(f"{name}_{end}" for end in data),
        published=published, params=params, macs=macs, formats=_FORMATS, licence=_LICENCE,
        summary=f"classifier, {config.get('depth', 16)} blocks, {frames} frames x {stride}",
    )  # fmt: skip


def _image(name: str, size: int, params: int, macs: int, top1: str, trained: bool = False, **config: Any) -> ZooEntry:
    return ZooEntry(
        name, "mvit", f"{_SYSTEM}.builders:mvit", f"{_SYSTEM}.weights:load", "classify",
        InputSpec(num_frames=1, frame_stride=1, size=size, **_IMAGENET),
        config={"image": True, "size": size, "num_classes": 1000, **config},
        recipes=("mvit_b_16_imagenet",) if trained else (), published={"ImageNet-1K": f"{top1} top-1"},
        params=params, macs=macs, formats=_FORMATS[:3], licence=_LICENCE,
        summary=f"image classifier, {config.get('depth', 16)} blocks",
    )  # fmt: skip


def _detector(name: str, frames: int, stride: int, params: int, ava: str, **config: Any) -> ZooEntry:
    return ZooEntry(
        name, "mvit", f"{_SYSTEM}.builders:mvit", f"{_SYSTEM}.weights:load", "detect_actions", _clip(frames, stride),
        config={"num_frames": frames, "num_classes": 80, "detection": True, **config},
        recipes=(name,), published={"AVA v2.2": f"{ava} mAP, centre crop"}, params=params, formats=_FORMATS[:2],
        licence=_LICENCE, summary="what each given person does",
    )  # fmt: skip


_TINY = ZooEntry(
    "mvit_tiny", "mvit", f"{_SYSTEM}.builders:mvit", f"{_SYSTEM}.weights:load", "classify",
    InputSpec(num_frames=16, frame_stride=1, size=32),
    config={
        "dim": 32, "depth": 6, "stage_starts": (2, 4), "num_frames": 16, "size": 32, "patch": (7, 7, 7),
        "patch_stride": (4, 4, 4), "patch_padding": (3, 3, 3), "kv_stride": (1, 1, 1), "num_classes": 10, "init": "xavier",
    },
    recipes=("mvit_tiny_classifier",), params=602_666, macs=49_916_032, formats=_FORMATS[:1], licence="Apache-2.0",
    summary="classifier for laptops: pooled attention on a grid of 8 x 8 x 8",
)  # fmt: skip

_B_16X4 = {
    "Kinetics-400": "78.4 / 93.5 top-1 / top-5, 5 clips x 1 crop (other public ports 78.5 to 78.9)",
    "Kinetics-600": "82.1 top-1, 5 clips x 1 crop",
    "Something-Something v2": "64.7 / 89.2 from Kinetics-400, 66.2 / 90.2 from Kinetics-600, 1 clip x 3 crops",
}
_B_32X3 = {
    "Kinetics-400": "80.2 / 94.4 top-1 / top-5, 5 clips x 1 crop (model zoo 80.4 / 94.8)",
    "Something-Something v2": "67.1 / 90.8 from Kinetics-400, 67.8 / 91.3 from Kinetics-600, 1 clip x 3 crops",
}
_B_64X3 = {
    "Kinetics-400": "81.2 / 95.1 top-1 / top-5, 3 clips x 3 crops",
    "Something-Something v2": "67.7 / 90.9 from Kinetics-400, 1 clip x 3 crops",
}
_B24_32X3 = {
    "Kinetics-600": "84.1 / 96.5 top-1 / top-5, 5 clips x 1 crop (first version of the paper 83.4); num_classes=600",
    "Something-Something v2": "68.7 / 91.5 from Kinetics-600, 1 clip x 3 crops",
}

ENTRIES: tuple[ZooEntry, ...] = (
    _TINY,
    _video("mvit_b_16x4", 16, 4, 36_610_672, 70_599_407_808, ("k400", "k600", "ssv2"), _B_16X4),
    _video("mvit_b_32x3", 32, 3, 36_611_440, 169_958_123_712, ("k400", "ssv2"), _B_32X3),
    _video("mvit_b_64x3", 64, 3, 36_612_976, 455_061_768_384, ("k400",), _B_64X3),
    _video("mvit_b24_32x3", 32, 3, 53_172_880, 236_240_044_032, ("k600",), _B24_32X3, **_B24),
    _image("mvit_b_16_image", 224, 36_982_600, 7_809_333_696, "83.0 (model zoo 82.9, maximum pooling 82.5)", trained=True),
    _image("mvit_b_24_image", 224, 53_516_392, 10_939_715_328, "83.4", **_B24),
    _image("mvit_b_24_wide_320_image", 320, 72_961_832, 32_718_070_784, "84.8", dim=112, **_B24),
    # the names of PyTorchVideo's hub, whose model of images has separable positions
    _video(
        "mvit_base_16x4",
        16,
        4,
        36_610_672,
        70_599_407_808,
        (),
        {"Kinetics-400": "78.85 / 93.85 top-1 / top-5, 5 clips"},
        **_HUB,
    ),
    _video(
        "mvit_base_32x3",
        32,
        3,
        36_611_440,
        169_958_123_712,
        (),
        {"Kinetics-400": "80.30 / 94.69 top-1 / top-5, 5 clips"},
        **_HUB,
    ),
    _image("mvit_base_16", 224, 36_982_696, 7_809_333_696, "82.9 (the model zoo's)", positions="separable", **_HUB),
    _detector("mvit_b_16x4_ava", 16, 4, 36_364_592, "24.5 from Kinetics-400, 26.1 from Kinetics-600"),
    _detector("mvit_b_64x3_ava", 64, 3, 36_366_896, "27.3 from Kinetics-400"),
    _detector("mvit_b24_32x3_ava", 32, 3, 52_926_800, "28.7 from Kinetics-600", **_B24),
)
