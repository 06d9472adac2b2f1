"""ONNX models in 8-bit integers.

N clips, T frames, S side of a crop.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidmodels.core.entry import InputSpec
from vidmodels.inference.export.calibrate import Calibration, prepared
from vidmodels.inference.export.files import ABOUT, need
from vidmodels.inference.export.report import Answer, Int8Report

LINEAR = ["MatMul", "Gemm"]
FEWEST_CHANNELS = 8
"""Convolutions that see fewer channels at once (stems, depthwise ones) stay float: integers are 2 to 4 times slower there."""
WARNINGS, ERRORS = 2, 3  # of ONNX Runtime's levels; it begins with the first


def quantise(source: Path, target: Path, clips: np.ndarray, spec: InputSpec, about: str) -> None:
    """Write the ONNX model at `source` with int8 weights, one scale for each output channel, to `target`.

    ConvNets: convolutions and linear layers, whose inputs get fixed ranges from the clips uint8 [N, T, S, S, 3].
    Transformers: linear layers, which take the range of each input as it comes: outliers would spoil a fixed one. `about` goes
    into the file. Raises MissingExtraError.
    """
    need("onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    folded = source.with_name(f"folded_{source.name}")
    with _quiet_runtime():
        try:
            quant_pre_process(str(source), str(folded), skip_symbolic_shape=True)
            graph = onnx.load(folded)
            if any(node.op_type == "LayerNormalization" for node in graph.graph.node):
                quantize_dynamic(
                    str(folded), str(target), op_types_to_quantize=LINEAR, per_channel=True, reduce_range=True,
                    weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True},
                )  # fmt: skip
            else:
                _quantise_static(folded, target, clips, spec, _narrow(graph))
        finally:
            folded.unlink(missing_ok=True)
    model = onnx.load(target)
    onnx.helper.set_model_props(model, {ABOUT: about})
    onnx.save(model, target)


def _quantise_static(source: Path, target: Path, clips: np.ndarray, spec: InputSpec, excluded: list[str]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = prepared(clips, spec)

        def get_next(self) -> dict[str, np.ndarray] | None:
            inputs = next(self.left, None)
            return None if inputs is None else {name: value.numpy() for name, value in inputs.items()}

    # weights of 7 bits: products of 8 x 8 bits overflow their 16-bit sums on processors without VNNI
    quantize_static(
        str(source), str(target), Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv", *LINEAR],
        per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        nodes_to_exclude=excluded, calibrate_method=CalibrationMethod.MinMax, extra_options={"MatMulConstBOnly": True},
    )  # fmt: skip


def _narrow(model: Any) -> list[str]:
    """Names of the convolutions that see few channels at once."""
    channels = {tensor.name: tensor.dims[1] for tensor in model.graph.initializer if len(tensor.dims) > 2}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return [node.name for node in convolutions if channels.get(node.input[1], 0) < FEWEST_CHANNELS]


def int8_report(ours: Answer, reference: Answer, calibration: Calibration, spec: InputSpec) -> Int8Report:
    """How an int8 model answers against the float one, for the clips that it knows and for others."""
    agreement, _ = _agreement(ours, reference, calibration.clips, spec)
    others, error = _agreement(ours, reference, calibration.others, spec)
    return Int8Report(len(calibration.clips), agreement, len(calibration.others), others, error)


def _agreement(ours: Answer, reference: Answer, clips: np.ndarray, spec: InputSpec) -> tuple[float, float]:
    """The share of clips with the same highest class, and the largest difference over the largest logit."""
    answers, expected = zip(*((ours(inputs), reference(inputs)) for inputs in prepared(clips, spec)))
    found, wanted = torch.cat(answers), torch.cat(expected)
    same = (found.argmax(1) == wanted.argmax(1)).float().mean()
    return float(same), float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-12))


@contextlib.contextmanager
def _quiet_runtime() -> Iterator[None]:
    """Without ONNX Runtime's warnings of each step that the next one takes."""
    import onnxruntime

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    onnxruntime.set_default_logger_severity(ERRORS)
    try:
        yield
    finally:
        logging.disable(before)
        onnxruntime.set_default_logger_severity(WARNINGS)
