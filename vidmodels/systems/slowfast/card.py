"""Card of the SlowFast family: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vidmodels.core.entry import InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.slowfast"
_LICENCE = "Apache-2.0 (published weights of PySlowFast and PyTorchVideo; code here Apache-2.0)"
_FORMATS = (
    "vidmodels safetensors",
    "PySlowFast (.pyth)",
    "PyTorchVideo (.pyth)",
    "Caffe2 (.pkl)",
    "torchvision ResNet, inflated (one pathway)",
)
_R101: dict[str, Any] = {
    "depth": 101,
    "temporal_blocks": (3, 4, 6, 3),
    "fast_temporal_blocks": (3, 4, 6, 3),
    "lateral_kernel": 5,
}
_NLN_R50: dict[str, Any] = {"non_local_after": ((), (1, 3), (1, 3, 5), ())}
_NLN_R101: dict[str, Any] = {"non_local_after": ((), (), (6, 13, 20), ())}
_FROM_HUB = "as PyTorchVideo's hub has it"


def _clip(frames: int, stride: int) -> InputSpec:
    return InputSpec(num_frames=frames, frame_stride=stride, size=224, test_size=256, fps=30)


def _one(
    name: str, arch: str, frames: int, stride: int, params: int, macs: int, k400: str = "", summary: str = "", **config: Any
) -> ZooEntry:
    return ZooEntry(
        name, "slowfast", f"{_SYSTEM}.builders:single_pathway", f"{_SYSTEM}.weights:load", "classify", _clip(frames, stride),
        config={"arch": arch, "num_frames": frames, **config}, recipes=_recipes(name),
        published={"Kinetics-400": f"{k400} top-1 / top-5, 10 clips x 3 crops"} if k400 else {}, params=params, macs=macs,
        formats=_FORMATS, licence=_LICENCE, summary=summary or f"one pathway, {frames} frames x {stride}",
    )  # fmt: skip


def _two(name: str, frames: int, params: int, macs: int, k400: str = "", summary: str = "", **config: Any) -> ZooEntry:
    slow = frames // config.get("alpha", 4)
    return ZooEntry(
        name, "slowfast", f"{_SYSTEM}.builders:slowfast", f"{_SYSTEM}.weights:load", "classify", _clip(frames, 2),
        config={"num_frames": frames, **config}, recipes=_recipes(name),
        published={"Kinetics-400": f"{k400} top-1 / top-5, 10 clips x 3 crops"} if k400 else {}, params=params, macs=macs,
        formats=_FORMATS[:-1], licence=_LICENCE, summary=summary or f"two pathways, {slow} and {frames} frames",
    )  # fmt: skip


def _detector(name: str, builder: str, clip: InputSpec, params: int, ava: str, **config: Any) -> ZooEntry:
    """The models of PyTorchVideo's hub have the recipes of PySlowFast's, which end with `_ava`."""
    return ZooEntry(
        name, "slowfast", f"{_SYSTEM}.builders:{builder}", f"{_SYSTEM}.weights:load", "detect_actions", clip,
        config={"detection": True, "num_classes": 80, "activation": "sigmoid", "num_frames": clip.num_frames, **config},
        recipes=(name,) if name.endswith("_ava") else (), published={"AVA": ava}, params=params, formats=_FORMATS[:-1],
        licence=_LICENCE, summary="what each given person does",
    )  # fmt: skip


def _recipes(name: str) -> tuple[str, ...]:
    return _RECIPES.get(name, ())


_RECIPES = {
    "c2d_r50_8x8": ("c2d_r50_8x8_k400",),
    "i3d_r50_8x8": ("i3d_r50_8x8_k400",),
    "i3d_nln_r50_8x8": ("i3d_nln_r50_8x8_k400",),
    "slow_r50_4x16": ("slow_r50_4x16_k400",),
    "slow_r50_8x8": (
        "slow_r50_8x8_k400",
        "slow_r50_8x8_linear_k400",
        "slow_r50_8x8_ucf101",
        "slow_r50_8x8_ucf101_syncbn",
        "slow_r50_8x8_ssv2",
    ),
    "slow_r50_16x8": ("slow_r50_16x8_charades",),
    "i3d_tiny": ("i3d_tiny", "i3d_tiny_probe"),
    "slowfast_r50_4x16": ("slowfast_r50_4x16_k400",),
    "slowfast_r50_8x8": (
        "slowfast_r50_8x8_k400",
        "slowfast_r50_8x8_k400_stepwise",
        "slowfast_r50_8x8_k400_multigrid",
    ),
    "slowfast_r50_16x8": (
        "slowfast_r50_16x8_charades",
        "slowfast_r50_16x8_charades_multigrid",
        "slowfast_r50_16x8_ssv2",
        "slowfast_r50_16x8_ssv2_multigrid",
    ),
    "slowfast_r101_8x8": ("slowfast_r101_8x8_k400",),
    "slowfast_r101_16x8": ("slowfast_r101_16x8_k400",),
    "slowfast_tiny": ("slowfast_tiny", "slowfast_tiny_two_heads", "slowfast_tiny_multigrid"),
}

_SINGLE = (
    _one("c2d_r50_8x8", "c2d", 8, 8, 24_327_632, 19_493_191_680, "67.2 / 87.8"),
    _one("c2d_nln_r50_8x8", "c2d", 8, 8, 31_686_096, 27_620_900_864, **_NLN_R50),
    _one("i3d_r50_8x8", "i3d", 8, 8, 28_043_472, 28_407_660_544, "73.5 / 90.8"),
    _one("i3d_nln_r50_8x8", "i3d", 8, 8, 35_401_936, 36_535_369_728, "74.0 / 91.1", **_NLN_R50),
    _one("i3d_r101_8x8", "i3d", 8, 8, 51_754_192, 46_955_921_408, depth=101),
    _one("slow_r50_4x16", "slow", 4, 16, 32_454_096, 20_870_823_936, "72.7 / 90.3"),
    _one("slow_r50_8x8", "slow", 8, 8, 32_454_096, 41_740_828_672, "74.8 / 91.6"),
    _one("slow_r50_16x8", "slow", 16, 8, 32_454_096, 83_480_838_144),
    _one("slow_nln_r50_4x16", "slow", 4, 16, 39_812_560, 28_998_533_120, **_NLN_R50),
    _one("slow_nln_r50_8x8", "slow", 8, 8, 39_812_560, 63_975_620_608, **_NLN_R50),
)
_DOUBLE = (
    _two("slowfast_r50_4x16", 32, 34_480_216, 27_638_665_216, "75.6 / 92.0", alpha=8, lateral_kernel=5),
    _two("slowfast_r50_8x8", 32, 34_566_488, 50_308_583_424, "77.0 / 92.6"),
    replace(
        _two("slowfast_r50_16x8", 64, 34_566_488, 100_616_245_248),
        published={
            "Charades": "38.9 mAP from Kinetics-400, 30 views by the largest score (157 classes, activation='sigmoid')",
            "Something-Something v2": "63.0 / 88.5 top-1 / top-5 from Kinetics-400, 1 clip (174 classes)",
        },
    ),
    _two("slowfast_nln_r50_4x16", 32, 41_838_680, 35_766_374_400, alpha=8, lateral_kernel=5, **_NLN_R50),
    _two("slowfast_nln_r50_8x8", 32, 41_838_680, 72_228_671_488, lateral_kernel=5, **_NLN_R50),
    _two("slowfast_r101_8x8", 32, 53_774_808, 81_547_759_616, "77.9 / 93.2", **_R101),
    _two("slowfast_r101_8x8_101_50_101", 32, 53_914_072, 82_421_223_424, **{**_R101, "fast_temporal_blocks": None}),
    _two("slowfast_r101_8x8_101_101_101", 32, 62_826_968, 96_396_644_352, depth=101, lateral_kernel=5),
    _two("slowfast_r101_16x8", 64, 53_774_808, 163_094_597_632, "78.9 / 93.5", **_R101),
    _two("slowfast_nln_r101_16x8", 64, 60_080_088, 182_978_744_320, "79.8 / 93.9", **_R101, **_NLN_R101),
)
# PyTorchVideo's hub: the same networks, of which a larger crop's positions are averaged before the softmax
_HUB = (
    _one("c2d_r50", "c2d", 8, 8, 24_327_632, 19_493_191_680, "71.46 / 89.68", _FROM_HUB, average="logits"),
    _one("i3d_r50", "i3d", 8, 8, 28_043_472, 28_407_660_544, "73.27 / 90.70", _FROM_HUB, average="logits"),
    _one("slow_r50", "slow", 8, 8, 32_454_096, 41_740_828_672, "74.58 / 91.63", _FROM_HUB, average="logits"),
    _two("slowfast_r50", 32, 34_566_488, 50_308_583_424, "76.94 / 92.69", _FROM_HUB, average="logits"),
    _two(
        "slowfast_r101", 32, 62_826_968, 96_396_644_352, "77.90 / 93.27", _FROM_HUB, average="logits",
        depth=101, lateral_kernel=5,
    ),
    _two("slowfast_16x8_r101_50_50", 64, 53_774_808, 163_094_597_632, "78.70 / 93.61", _FROM_HUB, average="logits", **_R101),
    _detector("slow_r50_detection", "single_pathway", _clip(4, 16), 31_798_416, "19.5 mAP (v2.2)", roi_aligned=False),
    _detector("slowfast_r50_detection", "slowfast", _clip(32, 2), 33_828_888, "24.67 mAP (v2.2)", roi_aligned=False),
)  # fmt: skip
_AVA = (
    _detector("slow_r50_4x16_ava", "single_pathway", _clip(4, 16), 31_798_416, "19.5 mAP (v2.2)", roi_aligned=False),
    _detector("slow_r50_8x8_ava", "single_pathway", _clip(8, 8), 31_798_416, "22.8 mAP (v2.2), from BYOL without labels"),
    _detector("slowfast_r50_8x8_ava", "slowfast", _clip(32, 2), 33_828_888, "24.8 mAP (v2.2, a run of the short recipe)"),
    _detector(
        "slowfast_nln_r101_8x8_ava", "slowfast", _clip(32, 2), 59_342_488, "29.1 mAP (v2.2), 28.2 (v2.1), from Kinetics-600",
        roi_aligned=False, **_R101, **_NLN_R101, non_local_pool=(2, 2, 2),
    ),
    _detector(
        "slowfast_nln_r101_16x8_ava", "slowfast", _clip(64, 2), 59_342_488, "29.4 mAP (v2.2), from Kinetics-600",
        roi_aligned=False, **_R101, **_NLN_R101, non_local_pool=(2, 2, 2),
    ),
)  # fmt: skip


def _tiny(name: str, builder: str, frames: int, params: int, macs: int, summary: str, **config: Any) -> ZooEntry:
    """A network for frames of 32 pixels: the stem halves them once, and no block begins as the identity, from which networks
    of one block a stage learn slowly."""
    return ZooEntry(
        name, "slowfast", f"{_SYSTEM}.builders:{builder}", f"{_SYSTEM}.weights:load", "classify",
        InputSpec(num_frames=frames, frame_stride=16 // frames, size=32),
        config={
            "depth": (1, 1, 1, 1), "stem_pool": False, "identity_start": False, "num_frames": frames, "size": 32,
            "num_classes": 10, "dropout": 0.0, **config,
        },
        recipes=_RECIPES.get(name, (name,)), params=params, macs=macs, formats=_FORMATS[:1], licence="Apache-2.0",
        summary=f"for laptops: {summary}",
    )  # fmt: skip


_LAPTOP = (
    _tiny(
        "slowfast_tiny", "slowfast", 16, 322_422, 45_985_536, "two pathways, 4 and 16 frames",
        width=8, beta_inv=2, lateral_kernel=5,
    ),
    _tiny("slow_tiny", "single_pathway", 4, 749_332, 48_168_576, "one pathway, widened to slowfast_tiny's cost", width=18),
    _tiny("i3d_tiny", "single_pathway", 16, 140_914, 44_927_488, "kernels over time in every stage", arch="i3d", width=8),
    _tiny("c2d_tiny", "single_pathway", 16, 290_038, 43_503_360, "no kernel over time: the control", arch="c2d", width=12),
)  # fmt: skip
_TINY_DETECTOR = ZooEntry(
    "slowfast_tiny_detector", "slowfast", f"{_SYSTEM}.builders:slowfast", f"{_SYSTEM}.weights:load", "detect_actions",
    InputSpec(num_frames=16, frame_stride=1, size=64),
    config={
        "detection": True, "num_classes": 10, "activation": "sigmoid", "num_frames": 16, "depth": (1, 1, 1, 1), "width": 8,
        "beta_inv": 4, "lateral_kernel": 5, "strides": (1, 2, 1, 1), "dilations": (1, 1, 1, 1),
    },
    recipes=("slowfast_tiny_detector",), params=214_300, formats=_FORMATS[:1], licence="Apache-2.0",
    summary="for laptops: how each given shape moves",
)  # fmt: skip
ENTRIES: tuple[ZooEntry, ...] = (*_LAPTOP, _TINY_DETECTOR, *_SINGLE, *_DOUBLE, *_HUB, *_AVA)
