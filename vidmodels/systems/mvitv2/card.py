"""Card of MViTv2: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.mvitv2"
_LICENCE = "Apache-2.0 (weights of PySlowFast, the image repository, timm), BSD-3-Clause (torchvision's); code here Apache-2.0"
_VIDEO_FORMATS = ("vidmodels safetensors", "PySlowFast (.pyth)", "torchvision (.pth)")
_IMAGE_FORMATS = ("vidmodels safetensors", "image repository (.pyth)", "PySlowFast (.pyth)", "timm (.safetensors, .bin)")
_IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}

_SIZES: dict[str, dict[str, Any]] = {
    "t": {"depth": 10, "stage_starts": (1, 3, 8)},
    "s": {},
    "b": {"depth": 24, "stage_starts": (2, 5, 21)},
    "l": {"dim": 144, "num_heads": 2, "depth": 48, "stage_starts": (2, 8, 44)},
    "h": {"dim": 192, "num_heads": 3, "depth": 80, "stage_starts": (4, 12, 72)},
}


def _clip(frames: int, stride: int, size: int, stem: str) -> InputSpec:
    """L comes from ImageNet-21K, and takes its colours as that does."""
    return InputSpec(num_frames=frames, frame_stride=stride, size=size, fps=30, **(_IMAGENET if stem == "l" else {}))


def _image(name: str, size: str, params: int, macs: int, published: str, recipe: str = "", **config: Any) -> ZooEntry:
    classes = config.get("num_classes", 1000)
    return ZooEntry(
        name, "mvitv2", f"{_SYSTEM}.builders:mvitv2", f"{_SYSTEM}.weights:load", "classify",
        InputSpec(num_frames=1, frame_stride=1, size=224, **_IMAGENET),
        config={"image": True, "num_classes": classes, **_SIZES[size], **config}, recipes=(recipe,) if recipe else (),
        published={"ImageNet-1K": published} if published else {}, params=params, macs=macs, formats=_IMAGE_FORMATS,
        licence=_LICENCE, summary=f"image classifier, size {size.upper()}, {classes} classes",
    )  # fmt: skip


def _video(
    size: str, frames: int, stride: int, side: int, params: int, macs: int, recipes: tuple[str, ...], **published: str
) -> ZooEntry:
    name = f"mvitv2_{size}_{frames}x{stride}" + ("" if side == 224 else f"_{side}")
    return ZooEntry(
        name, "mvitv2", f"{_SYSTEM}.builders:mvitv2", f"{_SYSTEM}.weights:load", "classify",
        _clip(frames, stride, side, size),
        config={"num_frames": frames, "size": side, "num_classes": 400, **_SIZES[size]},
        recipes=tuple(f"{name}_{end}" for end in recipes), published={_DATA[key]: text for key, text in published.items()},
        params=params, macs=macs, formats=_VIDEO_FORMATS, licence=_LICENCE,
        summary=f"classifier, size {size.upper()}, {frames} frames x {stride}, {side} px",
    )  # fmt: skip


def _detector(size: str, frames: int, stride: int, side: int, params: int, ava: str) -> ZooEntry:
    name = f"mvitv2_{size}_{frames}x{stride}" + ("" if side == 224 else f"_{side}") + "_ava"
    return ZooEntry(
        name, "mvitv2", f"{_SYSTEM}.builders:mvitv2", f"{_SYSTEM}.weights:load", "detect_actions",
        _clip(frames, stride, side, size),
        config={"num_frames": frames, "size": side, "num_classes": 80, "detection": True, **_SIZES[size]},
        recipes=(name,), published={"AVA v2.2": f"mAP, centre crop / full frame: {ava}"}, params=params,
        formats=_VIDEO_FORMATS[:2], licence=_LICENCE, summary="what each given person does",
    )  # fmt: skip


def _in21k(size: str, params: int, macs: int) -> ZooEntry:
    recipe = f"mvitv2_{size}_imagenet21k"
    return _image(f"mvitv2_{size}_in21k", size, params, macs, "", recipe, class_token=True, num_classes=19_168)


_DATA = {"k400": "Kinetics-400", "k600": "Kinetics-600", "k700": "Kinetics-700", "ssv2": "Something-Something v2"}
_FROM_IMAGES = ("k400", "k400_from_imagenet", "k400_from_imagenet21k", "ssv2")

_TINY = ZooEntry(
    "mvitv2_tiny_video", "mvitv2", f"{_SYSTEM}.builders:mvitv2", f"{_SYSTEM}.weights:load", "classify",
    InputSpec(num_frames=16, frame_stride=1, size=32),
    config={
        "dim": 32, "depth": 6, "stage_starts": (2, 4), "num_frames": 16, "size": 32, "patch": (7, 7, 7),
        "patch_stride": (4, 4, 4), "patch_padding": (3, 3, 3), "kv_stride": (1, 1, 1), "num_classes": 10, "init": "xavier",
    },
    recipes=("mvitv2_tiny_video_classifier",), params=557_994, macs=45_729_920, formats=_VIDEO_FORMATS[:1],
    licence="Apache-2.0", summary="classifier of video for laptops: pooled attention on a grid of 4 x 8 x 8",
)  # fmt: skip
_TINY_DETECTOR = ZooEntry(
    "mvitv2_tiny_detector", "mvitv2", f"{_SYSTEM}.builders:mvitv2", f"{_SYSTEM}.weights:load", "detect_actions",
    InputSpec(num_frames=16, frame_stride=1, size=64),
    # a stem that is long in time: 512 tokens, and motion is seen before the first attention
    config={
        "detection": True, "dim": 48, "depth": 5, "stage_starts": (1, 3), "num_frames": 16, "size": 64, "patch": (15, 7, 7),
        "patch_stride": (8, 4, 4), "patch_padding": (7, 3, 3), "kv_stride": (1, 2, 2), "num_classes": 10, "init": "xavier",
    },
    recipes=("mvitv2_tiny_detector",), params=1_234_954, formats=_VIDEO_FORMATS[:1], licence="Apache-2.0",
    summary="for laptops: how each given shape moves",
)  # fmt: skip

ENTRIES: tuple[ZooEntry, ...] = (
    _TINY,
    _TINY_DETECTOR,
    _image("mvitv2_t", "t", 24_173_320, 4_676_957_952, "82.3 top-1", "mvitv2_t_imagenet"),
    _image("mvitv2_s", "s", 34_870_216, 6_959_715_072, "83.6 top-1", "mvitv2_s_imagenet"),
    _image("mvitv2_b", "b", 51_472_744, 10_102_438_656, "84.4 top-1 (85.2 at 384 px)", "mvitv2_b_imagenet"),
    _image(
        "mvitv2_l", "l", 217_992_952, 43_711_209_216, "85.3 top-1 (86.0 at 384 px)", "mvitv2_l_imagenet", growth="mlp"
    ),
    _image("mvitv2_h", "h", 666_879_720, 119_589_408_768, "88.0 top-1 from ImageNet-21K"),
    _in21k("b", 65_444_032, 10_175_309_568),
    _in21k("l", 234_583_216, 42_016_927_680),
    _in21k("h", 694_804_128, 120_332_914_176),
    _video(
        "s", 16, 4, 224, 34_537_744, 64_223_815_872, _FROM_IMAGES,
        k400="81.0 / 94.6 top-1 / top-5, 5 clips x 1 crop (81.2 top-1 in the table of starts: 82.2 from ImageNet-1K, 82.6 21K)",
        ssv2="68.2 / 91.4, 1 clip x 3 crops",
    ),
    _video(
        "b", 32, 3, 224, 51_230_128, 224_472_840_192, _FROM_IMAGES,
        k400="82.9 / 95.7 top-1 / top-5, 5 clips x 1 crop (83.3 top-1 from ImageNet-1K, 84.3 from 21K)",
        k600="85.5 / 97.2", k700="76.6 / 93.2",
        ssv2="70.5 / 92.7 (72.1 / 93.4 from ImageNet-21K and Kinetics-400), 1 clip x 3 crops",
    ),
    _video(
        "l", 40, 3, 224, 213_303_424, 1_086_170_185_152, (),
        k400="81.4 top-1 from random weights, 83.4 from ImageNet-1K, 84.5 from ImageNet-21K",
    ),
    _video(
        "l", 40, 3, 312, 213_390_112, 2_823_404_064_192, ("k400", "ssv2"),
        k400="86.1 / 97.0 top-1 / top-5, 5 clips x 3 crops", k600="87.5 / 97.8", k700="79.4 / 94.9",
        ssv2="73.3 / 94.1, 1 clip x 3 crops",
    ),
    _detector("s", 16, 4, 224, 34_291_664, "26.8 / 27.6 from Kinetics-400"),
    _detector("b", 32, 3, 224, 50_984_048, "28.1 / 29.0 from Kinetics-400, 29.9 / 30.5 from 600, 31.3 / 32.3 from 700"),
    _detector("l", 40, 3, 312, 213_021_152, "33.5 / 34.4 from ImageNet-21K and Kinetics-700"),
)  # fmt: skip
