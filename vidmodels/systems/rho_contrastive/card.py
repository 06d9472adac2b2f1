"""Card of persistent contrastive learning: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.rho_contrastive"
_LICENCE = "Apache-2.0 (PySlowFast, as its published weights; code here)"
_FORMATS = ("vidmodels safetensors", "PySlowFast (.pyth)")

# parameters of the network that learns, its slow copy included; the best published figures with them
_PUBLISHED = {
    "moco": (80_578_944, "71.0 Kinetics-400 linear probe, 94.5 UCF101, 21.9 AVA (rho 4)"),
    "byol": (86_371_456, "70.1 Kinetics-400 linear probe, 94.7 UCF101 (rho 4)"),
    "simclr": (40_289_472, "61.5 Kinetics-400 linear probe, 88.3 UCF101, 17.5 AVA (rho 2)"),
    "swav": (40_421_568, "62.6 Kinetics-400 linear probe, 90.2 UCF101, 19.2 AVA (rho 2)"),
}
_RECIPES = {"moco": (2, 4), "byol": (2, 4), "simclr": (2,), "swav": (2,)}
_TINY: dict[str, Any] = {
    "arch": "i3d", "depth": (1, 1, 1, 1), "width": 8, "stem_pool": False, "num_frames": 8, "size": 32,
}  # fmt: skip


def _slow(framework: str, frames: int = 8, stride: int = 8) -> ZooEntry:
    params, figures = _PUBLISHED[framework]
    end = "" if frames == 8 else f"_{frames}x{stride}"
    return ZooEntry(
        f"rho_{framework}_slow_r50{end}", "rho_contrastive", f"{_SYSTEM}.builders:contrastive", f"{_SYSTEM}.weights:load",
        "pretrain_contrastive", InputSpec(num_frames=frames, frame_stride=stride, size=224, fps=30),
        config={"framework": framework}, published={"downstream": figures}, params=params, formats=_FORMATS, licence=_LICENCE,
        recipes=tuple(f"rho_{framework}_rho{rho}_k400{end}" for rho in (_RECIPES[framework] if frames == 8 else (4,))),
        summary=f"{framework} on Slow R50, {frames} x {stride}",
    )  # fmt: skip


def _tiny(framework: str) -> ZooEntry:
    """Heads of 64 wide, 128 in BYOL's hidden layers."""
    heads: dict[str, Any] = {"layers": 2, "hidden": 64, "dim": 32, "queue": 1024, "prototypes": 32}
    if framework == "byol":
        heads |= {"hidden": 128}
    return ZooEntry(
        f"rho_{framework}_tiny", "rho_contrastive", f"{_SYSTEM}.builders:contrastive", f"{_SYSTEM}.weights:load",
        "pretrain_contrastive", InputSpec(num_frames=8, frame_stride=1, size=32),
        config={"framework": framework, **_TINY, **heads}, recipes=(f"rho_{framework}_tiny",), formats=_FORMATS[:1],
        licence="Apache-2.0", summary=f"{framework} for laptops",
    )  # fmt: skip


ENTRIES: tuple[ZooEntry, ...] = (
    *(_tiny(framework) for framework in _PUBLISHED),
    *(_slow(framework) for framework in _PUBLISHED),
    _slow("byol", 16, 4),
)
