"""Card of AVSlowFast: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import AudioSpec, InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.avslowfast"
_LICENCE = "Apache-2.0 (code; no weights were published)"
_FORMATS = (
    "vidmodels safetensors",
    "the authors' public code (.pyth)",
    "PyTorchVideo (.pyth)",
    "SlowFast of PySlowFast, PyTorchVideo, Caffe2 or vidmodels, as a start",
)
_INPUT = InputSpec(num_frames=32, frame_stride=2, size=224, test_size=256, fps=30, audio=AudioSpec())


def _entry(name: str, params: int, macs: int, summary: str, published: dict[str, str] | None = None, **config: Any) -> ZooEntry:
    recipes: tuple[str, ...] = () if "ptv" in name else (f"{name}_k400",)
    recipes += (f"{name}_epic", f"{name}_selfsup") if name == "avslowfast_r50_4x16" else ()
    return ZooEntry(
        name, "avslowfast", f"{_SYSTEM}.builders:avslowfast", f"{_SYSTEM}.weights:load", "classify", _INPUT,
        config={"num_frames": 32, **config}, recipes=recipes, published=published or {},
        params=params, macs=macs, formats=_FORMATS, licence=_LICENCE, summary=summary,
    )  # fmt: skip


# parameters include the heads of synchronisation, which only training needs: sync=() leaves them out. The authors' code runs
# the lateral connections of the one after res5 in every forward pass, so that its counts are up to 0.7 % higher
_KINETICS = (
    _entry(
        "avslowfast_r50_4x16", 44_203_320, 31_267_737_600, "pictures and sound, 4 and 32 frames",
        {"Kinetics-400": "77.0 / 92.7 top-1 / top-5, 10 clips x 3 crops (SlowFast alone 75.6)"}, alpha=8,
    ),
    _entry("avslowfast_r50_8x8", 44_547_384, 53_424_705_536, "pictures and sound, 8 and 32 frames", alpha=4, lateral_kernel=7),
    _entry(
        "avslowfast_r101_8x8", 77_311_160, 102_652_334_080, "pictures and sound, 8 and 32 frames",
        {"Kinetics-400": "78.8 / 93.6 top-1 / top-5, 10 clips x 3 crops (SlowFast alone 77.9)"}, alpha=4, depth=101,
    ),
    _entry(
        "avslowfast_r50_8x8_ptv", 42_321_800, 53_236_102_144, "pictures and sound, 8 and 32 frames, PyTorchVideo's builder",
        alpha=4, lateral_kernel=7, fast_at=(True,) * 4, audio_at=(True,) * 4, audio_width=0.25, drop_pathway=0.0,
        audio_forms=("narrow", "narrow", "joint", "joint"), audio_early_time=True, sync=(), average="logits",
    ),
)  # fmt: skip

_TINY = ZooEntry(
    "avslowfast_tiny", "avslowfast", f"{_SYSTEM}.builders:avslowfast", f"{_SYSTEM}.weights:load", "classify",
    InputSpec(num_frames=16, frame_stride=1, size=32, audio=AudioSpec(mels=40, rows=64)),
    config={
        "num_frames": 16, "size": 32, "audio_rows": 64, "alpha": 4, "width": 8, "depth": (1, 1, 1, 1), "beta_inv": 2,
        "audio_beta_inv": 2, "audio_forms": ("narrow", "narrow", "joint", "joint"), "audio_width": 8, "fast_at": (True,) * 4,
        "drop_pathway": 0.2, "num_classes": 12, "dropout": 0.0, "sync": (), "stem_pool": False, "identity_start": False,
    },
    recipes=("avslowfast_tiny", "avslowfast_tiny_selfsup"), params=376_992, macs=50_370_560, formats=_FORMATS[:1],
    licence="Apache-2.0", summary="pictures and sound, for laptops",
)  # fmt: skip

ENTRIES: tuple[ZooEntry, ...] = (_TINY, *_KINETICS)
