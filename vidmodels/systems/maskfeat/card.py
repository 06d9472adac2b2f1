"""Card of MaskFeat: its models, what they take, what was published about them. Free of torch."""

from __future__ import annotations

from typing import Any

from vidmodels.core.entry import InputSpec, Task, ZooEntry

_SYSTEM = "vidmodels.systems.maskfeat"
_LICENCE = "Apache-2.0 (PySlowFast, as its published weights; code here)"
_FORMATS = ("vidmodels safetensors", "PySlowFast (.pyth)")

_CLIP = InputSpec(num_frames=16, frame_stride=4, size=224, fps=30)
_IMAGE = InputSpec(num_frames=1, frame_stride=1, size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
_TINY_CLIP = InputSpec(num_frames=16, frame_stride=1, size=32)

_SIZES: dict[str, dict[str, Any]] = {
    "mvit_s": {}, "mvit_l": {"dim": 144, "num_heads": 2, "depth": 48, "stage_starts": (2, 8, 44)},
    "vit_b": {"image": True, "dim": 768, "num_heads": 12, "depth": 12},
    "vit_l": {"image": True, "dim": 1024, "num_heads": 16, "depth": 24},
}  # fmt: skip
_TINY: dict[str, Any] = {
    "dim": 32, "depth": 6, "stage_starts": (2, 4), "num_frames": 16, "size": 32, "patch": (7, 7, 7),
    "patch_stride": (4, 4, 4), "patch_padding": (3, 3, 3), "kv_stride": (1, 1, 1), "init": "xavier",
}  # fmt: skip


def _entry(
    name: str, task: Task, size: str, recipes: tuple[str, ...], params: int | None, summary: str, **more: Any
) -> ZooEntry:
    image = _SIZES[size].get("image", False)
    builder = "masked_feature_predictor" if task == "pretrain_features" else "classifier"
    return ZooEntry(
        name, "maskfeat", f"{_SYSTEM}.builders:{builder}", f"{_SYSTEM}.weights:load", task, _IMAGE if image else _CLIP,
        config={**_SIZES[size], **more.pop("config", {})}, recipes=recipes, params=params, formats=_FORMATS, licence=_LICENCE,
        summary=summary, **more,
    )  # fmt: skip


def _pretrained(size: str, recipes: tuple[str, ...], params: int) -> ZooEntry:
    image = "image" in _SIZES[size]
    cells = {"mask_cell": 16} if image else {}
    what = "images, ViT" if image else "clips, MViT"
    return _entry(
        f"maskfeat_{size}_pretrain", "pretrain_features", size, recipes, params,
        f"predicts masked features of {what}-{size[-1].upper()}", config=cells,
    )  # fmt: skip


ENTRIES: tuple[ZooEntry, ...] = (
    ZooEntry(
        "maskfeat_tiny_pretrain", "maskfeat", f"{_SYSTEM}.builders:masked_feature_predictor", f"{_SYSTEM}.weights:load",
        "pretrain_features", _TINY_CLIP, config={**_TINY, "q_strides": ((1, 2, 2), (1, 1, 1)), "mask_cell": 8},
        recipes=("maskfeat_tiny",), formats=_FORMATS[:1], licence="Apache-2.0",
        summary="predicts masked features, for laptops",
    ),
    ZooEntry(
        "maskfeat_tiny", "maskfeat", f"{_SYSTEM}.builders:classifier", f"{_SYSTEM}.weights:load", "classify", _TINY_CLIP,
        config={**_TINY, "num_classes": 10}, recipes=("maskfeat_tiny_classifier", "maskfeat_tiny_probe"),
        formats=_FORMATS[:1], licence="Apache-2.0", summary="classifier for laptops",
    ),
    _pretrained("mvit_s", ("maskfeat_mvit_s_k400",), 36_253_356),
    _pretrained("mvit_l", ("maskfeat_mvit_l_k400", "maskfeat_mvit_l_k400_long"), 217_247_580),
    _pretrained("vit_b", ("maskfeat_vit_b_imagenet",), 85_882_476),
    _pretrained("vit_l", ("maskfeat_vit_l_imagenet",), 303_413_356),
    _entry(
        "maskfeat_mvit_s", "classify", "mvit_s", ("maskfeat_mvit_s_k400_finetune",), 36_475_120, "classifier, MViT-S, 16 x 4",
        config={"num_classes": 400}, published={"Kinetics-400": "82.2 top-1, 10 clips"},
    ),
    _entry(
        "maskfeat_mvit_l", "classify", "mvit_l", ("maskfeat_mvit_l_k400_finetune",), 217_578_064, "classifier, MViT-L, 16 x 4",
        config={"num_classes": 400}, published={"Kinetics-400": "84.3 top-1, 10 clips"},
    ),
    _entry(
        "maskfeat_mvit_s_ava", "detect_actions", "mvit_s", ("maskfeat_mvit_s_ava",), None, "what each given person does",
        config={"num_classes": 80, "detection": True},
    ),
    _entry(
        "maskfeat_mvit_l_ava", "detect_actions", "mvit_l", ("maskfeat_mvit_l_ava",), None,
        "what each given person does", config={"num_classes": 80, "detection": True},
    ),
    _entry(
        "maskfeat_vit_b", "classify", "vit_b", ("maskfeat_vit_b_imagenet_finetune",), 86_567_656, "image classifier, ViT-B",
        config={"num_classes": 1000}, published={"ImageNet-1K": "84.0 top-1"},
    ),
    _entry(
        "maskfeat_vit_l", "classify", "vit_l", ("maskfeat_vit_l_imagenet_finetune",), 304_326_632, "image classifier, ViT-L",
        config={"num_classes": 1000}, published={"ImageNet-1K": "85.7 top-1"},
    ),
)  # fmt: skip
