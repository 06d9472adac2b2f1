"""PyTorchVideo's transforms, samplers and loss: each output of a case is computed from what its text says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.conformance.adapters.parts import cut
from tests.conformance.conformance import inputs_of
from vidmodels.data import video_transforms as transforms
from vidmodels.ops.clip_times import ClipTime, constant_clips, uniform_clips
from vidmodels.ops.losses import soft_cross_entropy

NUMBER = r"(\d+(?:\.\d+)?(?:/\d+)?)"
GOES_ON = re.compile(r"(?:the same|its)\b")  # a text that names only what differs from the one before


def _one_hot(labels: list[int], num_classes: int, label_smooth: float = 0.0) -> Tensor:
    return transforms.smooth_targets(torch.tensor(labels), num_classes, label_smooth)


FUNCTIONS = {
    "clip_boxes_to_image": transforms.clip_boxes_to_image,
    "convert_to_one_hot": _one_hot,
    "horizontal_flip_with_boxes": transforms.horizontal_flip_with_boxes,
    "short_side_scale": transforms.short_side_scale,
    "short_side_scale_with_boxes": transforms.short_side_scale_with_boxes,
    "uniform_crop": transforms.uniform_crop,
    "uniform_crop_with_boxes": transforms.uniform_crop_with_boxes,
    "uniform_temporal_subsample": transforms.uniform_temporal_subsample,
    "uniform_temporal_subsample_repeated": transforms.uniform_temporal_subsample_repeated,
}


def run(case: dict) -> dict[str, np.ndarray]:
    """All outputs of a case without a model."""
    names: dict[str, Any] = {key: torch.from_numpy(np.asarray(value)) for key, value in inputs_of(case).items()}
    names["boxes"] = torch.tensor(case["config"].get("boxes", []))
    answers: dict[str, Any] = {}
    for key, first, text in _texts(case["outputs"]):
        if "cross entropy" in first:
            answers[key] = soft_cross_entropy(names["logits"], names["targets"], normalise="without normal" not in text)
        elif re.search(rf"\bclip {NUMBER} s\b", first):
            clips = _clips(first, text)
            answers[key] = [[float(c.start), float(c.end), c.index, c.aug_index, c.is_last] for c in clips]
        else:
            before, call, after = _split_at_call(first)
            answers[key] = _part(_call(call, names), before + after if first == text else text)
    return {key: np.asarray(value, np.float32) for key, value in answers.items()}


def _texts(outputs: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Each output with its text and, before it, the text that it goes on from (its own where it stands for itself)."""
    first = ""
    for key, text in outputs.items():
        first = first if GOES_ON.match(text) else text
        yield key, first, text


def _clips(first: str, text: str) -> list[ClipTime]:
    """The clips of a sampler; length, duration and number of clips hold on until another text changes them."""

    def number(pattern: str, *where: str) -> Fraction | None:
        return next((Fraction(found[1]) for found in (re.search(pattern, words) for words in where) if found), None)

    length, duration = number(rf"clip {NUMBER} s", text, first), number(rf"video (?:of )?{NUMBER} s", text, first)
    assert length is not None
    assert duration is not None
    if count := number(r"(\d+) clips", text, first):
        return constant_clips(duration, length, int(count), int(number(r"(\d+) augmentations", text) or 1))
    return uniform_clips(duration, length, number(rf"stride {NUMBER} s", text), "back-padded" in text)


def _split_at_call(text: str) -> tuple[str, str, str]:
    """What stands before a call such as `uniform_crop(video, 33, 0)`, the call, and what follows it."""
    begin = re.search(r"[a-z_]+\(", text)
    if begin is None:
        raise KeyError(f"no call in {text!r}")
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == ")" and depth == 0:
            return text[: begin.start()], text[begin.start() : i + 1], text[i + 1 :]
    raise KeyError(f"the call in {text!r} does not end")


def _call(text: str, names: dict[str, Any]) -> Any:
    """The value of a call; `...` in it stands for the first frame of the video and the boxes."""
    tree = ast.parse(text, mode="eval").body
    assert isinstance(tree, ast.Call)
    assert isinstance(tree.func, ast.Name)
    given: list[Any] = []
    for argument in tree.args:
        left_out = isinstance(argument, ast.Constant) and argument.value is ...
        given += [names["video"][:, :1], names["boxes"]] if left_out else [_value(argument, names)]
    named = {str(keyword.arg): _value(keyword.value, names) for keyword in tree.keywords}
    return FUNCTIONS[tree.func.id](*given, **named)


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.Subscript):
        return cut(_value(node.value, names), f"slice [{ast.unparse(node.slice).strip('()')}]")
    return ast.literal_eval(node)


def _part(value: Any, words: str) -> Tensor:
    """Of video and boxes the one that is named, of several videos the first, of these the slice that is kept."""
    if isinstance(value, tuple):
        value = value[1 if "boxes" in words else 0]
    if isinstance(value, list):
        value = value[0]
    kept = re.search(r"\[[^\]]*\]", words)
    return cut(value, f"slice {kept[0]}") if kept else value
