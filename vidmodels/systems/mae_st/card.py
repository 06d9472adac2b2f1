"""Card of MAE-ST: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import InputSpec, ZooEntry

_SYSTEM = "vidmodels.systems.mae_st"
_LICENCE = "CC-BY-NC 4.0 (published weights of the single-purpose repository), Apache-2.0 (PySlowFast's); code here Apache-2.0"
_FORMATS = ("vidmodels safetensors", "mae_st repository (.pth)", "PySlowFast (.pyth)")

_INPUT = InputSpec(num_frames=16, frame_stride=4, size=224)
_TINY_INPUT = InputSpec(num_frames=16, frame_stride=1, size=32)

_SIZES = {
    "b": {"dim": 768, "depth": 12, "num_heads": 12},
    "l": {"dim": 1024, "depth": 24, "num_heads": 16},
    "h": {"dim": 1280, "depth": 32, "num_heads": 16},
}
_TINY = {
    "dim": 96, "depth": 4, "num_heads": 3, "num_frames": 16, "size": 32, "patch": (2, 8, 8), "pos_init": "sincos",
}  # fmt: skip

# parameters and multiply-adds (matrix products and convolutions) of one clip, pre-training at 90 %. The published counts
# are a few per cent higher: they embed the dropped patches too (81_691_860_552 for L), and count normalisation
# (180_632_854_160 for B)
_PRETRAIN = {
    "b": (99_898_880, 44_477_749_248), "l": (317_731_584, 79_394_557_952), "h": (645_678_080, 131_647_623_168),
}  # fmt: skip
_PYSLOWFAST = {"b": 100_596_736, "l": 318_429_440, "h": 646_375_936}
_FINETUNE = {
    "b": (86_702_224, 180_487_649_280, "81.3 top-1 Kinetics-400, 7 clips x 3 crops"),
    "l": (304_506_256, 597_289_271_296, "84.8 top-1 Kinetics-400, 7 clips x 3 crops (single-purpose code 84.35)"),
    "h": (632_424_080, 1_191_880_232_960, "85.1 top-1 Kinetics-400, 7 clips x 3 crops"),
}
_IMAGE = {"b": (86_568_424, 17_563_828_224), "l": (304_327_656, 61_554_712_576), "h": (632_200_680, 127_314_872_320)}


def _pretrain(size: str) -> list[ZooEntry]:
    params, macs = _PRETRAIN[size]
    common: dict[str, Any] = {
        "system": "mae_st",
        "builder": f"{_SYSTEM}.builders:masked_autoencoder",
        "loader": f"{_SYSTEM}.weights:load",
        "task": "pretrain_masked",
        "input": _INPUT,
        "formats": _FORMATS,
        "licence": _LICENCE,
    }
    data = ("k400",) if size == "b" else ("k400", "k600", "k700")
    recipes = tuple(f"mae_st_vit_{size}_{name}" for name in data)
    if size == "l":
        recipes += ("mae_st_vit_l_k400_single_purpose",)
    return [
        ZooEntry(
            f"mae_st_vit_{size}_pretrain", config=_SIZES[size], recipes=recipes, params=params, macs=macs,
            summary=f"masked autoencoder, ViT-{size.upper()}, decoder of the single-purpose code", **common,
        ),
        ZooEntry(
            f"mae_st_vit_{size}_pretrain_pyslowfast", config={**_SIZES[size], "form": "pyslowfast"},
            params=_PYSLOWFAST[size], macs=macs,
            summary=f"masked autoencoder, ViT-{size.upper()}, decoder of PySlowFast", **common,
        ),
    ]  # fmt: skip


def _classifier(size: str) -> ZooEntry:
    params, macs, published = _FINETUNE[size]
    recipes: tuple[str, ...] = (f"mae_st_vit_{size}_k400_finetune",)
    if size == "l":
        recipes += ("mae_st_vit_l_k400_finetune_single_purpose", "mae_st_vit_l_ssv2_finetune", "mae_st_vit_l_k400_scratch")
    return ZooEntry(
        f"mae_st_vit_{size}", "mae_st", f"{_SYSTEM}.builders:video_classifier", f"{_SYSTEM}.weights:load", "classify", _INPUT,
        config=_SIZES[size], recipes=recipes, published={"Kinetics-400": published}, params=params, macs=macs,
        formats=_FORMATS, licence=_LICENCE, summary=f"classifier, ViT-{size.upper()}",
    )  # fmt: skip


def _image(size: str) -> ZooEntry:
    params, macs = _IMAGE[size]
    return ZooEntry(
        f"mae_st_vit_{size}_image", "mae_st", f"{_SYSTEM}.builders:video_classifier", f"{_SYSTEM}.weights:load", "classify",
        InputSpec(num_frames=1, frame_stride=1, size=224),
        config={**_SIZES[size], "num_frames": 1, "patch": (1, 16, 16), "num_classes": 1000},
        published={"ImageNet-1K": "83.7 top-1 from Kinetics-400 pre-training"} if size == "l" else {},
        params=params, macs=macs, formats=_FORMATS, licence=_LICENCE,
        summary=f"image classifier from a video encoder, ViT-{size.upper()}",
    )  # fmt: skip


_LAPTOP = [
    ZooEntry(
        "mae_st_vit_tiny_pretrain", "mae_st", f"{_SYSTEM}.builders:masked_autoencoder", f"{_SYSTEM}.weights:load",
        "pretrain_masked", _TINY_INPUT,
        config={**_TINY, "decoder_dim": 64, "decoder_depth": 2, "decoder_heads": 2, "pred_frames": 16},
        recipes=("mae_st_tiny", "mae_st_tiny_long"), params=620_000, macs=26_514_432, formats=_FORMATS[:1],
        licence="Apache-2.0", summary="masked autoencoder for laptops",
    ),
    ZooEntry(
        "mae_st_vit_tiny", "mae_st", f"{_SYSTEM}.builders:video_classifier", f"{_SYSTEM}.weights:load", "classify",
        _TINY_INPUT, config={**_TINY, "num_classes": 10, "head_std": 0.02},
        recipes=("mae_st_tiny_classifier", "mae_st_tiny_probe"),
        params=487_978, macs=74_565_312, formats=_FORMATS[:1], licence="Apache-2.0", summary="classifier for laptops",
    ),
    ZooEntry(
        "mae_st_vit_tiny_8x4x4", "mae_st", f"{_SYSTEM}.builders:video_classifier", f"{_SYSTEM}.weights:load", "classify",
        _TINY_INPUT, config={**_TINY, "patch": (8, 4, 4), "num_classes": 10, "head_std": 0.02},
        recipes=("mae_st_tiny_8x4x4_classifier",), params=492_010, macs=74_565_312, formats=_FORMATS[:1], licence="Apache-2.0",
        summary="classifier for laptops, patches long in time: learns motion from random weights",
    ),
    # plain transformers at the multiply-adds of mvit_tiny, to compare with
    *(
        ZooEntry(
            f"mae_st_vit_tiny{end}_narrow", "mae_st", f"{_SYSTEM}.builders:video_classifier", f"{_SYSTEM}.weights:load",
            "classify", _TINY_INPUT,
            config={**_TINY, "dim": 76, "num_heads": 2, "patch": patch, "num_classes": 10, "head_std": 0.02},
            recipes=(f"mae_st_tiny{end}_narrow_classifier",), params=params, macs=49_619_032, formats=_FORMATS[:1],
            licence="Apache-2.0", summary="classifier for laptops, as costly as mvit_tiny",
        )
        for end, patch, params in (("", (2, 8, 8), 313_358), ("_8x4x4", (8, 4, 4), 316_550))
    ),
]  # fmt: skip

ENTRIES: tuple[ZooEntry, ...] = (
    *_LAPTOP,
    *(entry for size in _SIZES for entry in _pretrain(size)),
    *(_classifier(size) for size in _SIZES),
    *(_image(size) for size in _SIZES),
)
