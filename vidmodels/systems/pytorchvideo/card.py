"""Card of PyTorchVideo: the networks of its hub that no other system here has. Free of torch.

The others of its 19 hub names are on the cards of slowfast, x3d and mvit.
"""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import InputSpec, ZooEntry
from vidmodels.systems.pytorchvideo.efficient_x3d_card import ENTRIES as _EFFICIENT_X3D

_SYSTEM = "vidmodels.systems.pytorchvideo"
_LICENCE = "Apache-2.0 (published weights of PyTorchVideo; code here Apache-2.0)"
_FORMATS = ("vidmodels safetensors", "PyTorchVideo (.pyth)")
_TINY_INPUT = InputSpec(num_frames=16, frame_stride=1, size=32)
# with one block a stage, blocks that begin as the identity stay at chance for hundreds of steps
_TINY: dict[str, Any] = {"width": 16, "depth": (1, 1, 1, 1), "num_classes": 10, "size": 32, "identity_start": False}


def _entry(name: str, clip: InputSpec, params: int, macs: int, summary: str, k400: str = "", **config: Any) -> ZooEntry:
    builder = name.partition("_")[0]
    recipe = f"{name}_k400" if k400 else name
    return ZooEntry(
        name, "pytorchvideo", f"{_SYSTEM}.builders:{builder}", f"{_SYSTEM}.weights:load", "classify", clip,
        config={"num_frames": clip.num_frames, **config}, recipes=(recipe,),
        published={"Kinetics-400": f"{k400} top-1 / top-5, 10 clips x 3 crops"} if k400 else {}, params=params, macs=macs,
        formats=_FORMATS, licence=_LICENCE, summary=summary,
    )  # fmt: skip


def _clip(frames: int, stride: int) -> InputSpec:
    return InputSpec(num_frames=frames, frame_stride=stride, size=224, test_size=256, fps=30)


# multiply-adds of a 224 x 224 clip; the published 75.62 and 76.45 G are of 256 x 256 (73.76 and 75.15 G here) and count
# element-wise work too
ENTRIES: tuple[ZooEntry, ...] = (
    _entry(
        "csn_r101", _clip(32, 2), 22_213_776, 56_468_187_136, "channel-separated network, 32 frames x 2", "77.00 / 92.90",
        depth=101,
    ),
    _entry(
        "r2plus1d_r50", _clip(16, 4), 28_107_600, 57_533_825_024, "R(2+1)D with bottlenecks, 16 frames x 4", "76.01 / 92.23",
        depth=50,
    ),
    _entry(
        "csn_tiny", _TINY_INPUT, 326_858, 66_383_872, "channel-separated network for laptops", **_TINY, stem_pool=False
    ),
    _entry(
        "r2plus1d_tiny", _TINY_INPUT, 577_274, 76_616_704, "R(2+1)D for laptops", **_TINY, dropout=0.0,
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
    ),
    *_EFFICIENT_X3D,
)  # fmt: skip
