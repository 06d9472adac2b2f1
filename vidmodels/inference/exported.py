"""Exported models: what goes into them, how their files are opened, and how they compare with the network they came from.

N clips, T frames, S side of a crop, R boxes, K classes.
"""

from __future__ import annotations

import importlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import MissingExtraError, WeightsError

ABOUT = "vidmodels"
ABOUT_FILE = "vidmodels.json"
Run = Callable[[dict[str, Tensor]], Tensor]
"""Inputs by name to logits."""


@dataclass(frozen=True)
class Input:
    """An input of a model: its name, what its first axis counts, and the sizes of the others."""

    name: str
    rows: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} float32 [{', '.join([self.rows, *map(str, self.shape)])}]"


def inputs_of(spec: InputSpec, detects: bool = False) -> tuple[Input, ...]:
    """The inputs of a model: normalised clips, and normalised log-mel sound or boxes [R, 5] where it takes them."""
    inputs = [Input("clips", "batch", (3, spec.num_frames, spec.view_size, spec.view_size))]
    if spec.audio is not None:
        inputs.append(Input("audio", "batch", (1, spec.audio.rows, spec.audio.mels)))
    if detects:
        inputs.append(Input("boxes", "boxes", (5,)))
    return tuple(inputs)


def example_of(inputs: Sequence[Input], batch: int, seed: int = 0) -> dict[str, Tensor]:
    """Inputs for a batch: normal noise, and two boxes in each clip."""
    generator = torch.Generator().manual_seed(seed)
    example = {}
    for each in inputs:
        if each.name == "boxes":
            side = inputs[0].shape[-1]
            corners = torch.rand(2 * batch, 2, 2, generator=generator).sort(1).values.flatten(1) * side
            example["boxes"] = torch.cat([torch.arange(2.0 * batch).unsqueeze(1) // 2, corners], dim=1)
        else:
            example[each.name] = torch.randn(batch, *each.shape, generator=generator)
    return example


def run_of(model: nn.Module) -> Run:
    """A network as a function of inputs by name."""

    def run(inputs: dict[str, Tensor]) -> Tensor:
        with torch.inference_mode():
            return model(*inputs.values())

    return run


def open_exported(path: str | Path) -> Run:
    """The model in a file of `export_model`, on the CPU with as many threads as torch has.

    Raises WeightsError for a file that is none, MissingExtraError for ONNX without ONNX Runtime.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no exported model at {path}: check the path")
    return _open_program(path) if path.suffix == ".pt2" else _open_onnx(path)


def about_exported(path: str | Path) -> dict[str, Any]:
    """What a file of `export_model` says about itself: name, classes, input and others. Raises as `open_exported`."""
    path = Path(path)
    if path.suffix == ".pt2":
        files = {ABOUT_FILE: ""}
        _load_program(path, files)
        return json.loads(files[ABOUT_FILE])
    return json.loads(_session(path).get_modelmeta().custom_metadata_map.get(ABOUT, "{}"))


def need(*modules: str) -> None:
    """Raise MissingExtraError for the first of the modules that is not installed."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise MissingExtraError(f"{name} is not installed: pip install 'vidmodels[export]'") from None


def _open_program(path: Path) -> Run:
    module = _load_program(path, {}).module()
    return run_of(module)


def _load_program(path: Path, files: dict[str, Any]) -> torch.export.ExportedProgram:
    try:
        return torch.export.load(path, extra_files=files)
    except Exception as error:  # zipfile's, torch's and JSON's own, by the kind of damage
        raise WeightsError(f"{path} is no whole torch.export program ({_first_line(error)}): export it again") from None


def _open_onnx(path: Path) -> Run:
    session = _session(path)
    names = [each.name for each in session.get_inputs()]

    def run(inputs: dict[str, Tensor]) -> Tensor:
        return torch.from_numpy(session.run(None, {name: inputs[name].numpy() for name in names})[0])

    return run


def _session(path: Path) -> Any:
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3  # errors only: it warns of every initialiser that it folds
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base but this
        raise WeightsError(f"{path} is no ONNX model that ONNX Runtime opens ({_first_line(error)}): export it again") from None


def largest_error(ours: Run, reference: Run, inputs: Sequence[Input], batches: Sequence[int]) -> float:
    """max |ours - reference| / max |reference| over batches of noise; infinite where a shape differs or not all is finite."""
    worst = 0.0
    for batch in batches:
        example = example_of(inputs, batch, seed=batch)
        answer, expected = ours(example), reference(example)
        if answer.shape != expected.shape or not answer.isfinite().all():
            return float("inf")
        worst = max(worst, float((answer - expected).abs().max() / expected.abs().max().clamp(min=1e-12)))
    return worst


@dataclass(frozen=True)
class Latency:
    """Median seconds of one run of both sides, in turn, after a run that does not count."""

    eager: float
    exported: float
    batch: int
    threads: int
    rounds: int

    def __str__(self) -> str:
        ratio, threads = self.eager / self.exported, "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return (
            f"eager {1000 * self.eager:.1f} ms, exported {1000 * self.exported:.1f} ms, {ratio:.2f} times as fast "
            f"(batch of {self.batch}, medians of {self.rounds}, {threads})"
        )


def latency_of(eager: Run, exported: Run, inputs: Sequence[Input], batch: int, rounds: int) -> Latency:
    """Time both sides, alternating; which one comes first changes with each round."""
    example = example_of(inputs, batch)
    sides = (eager, exported)
    times: tuple[list[float], list[float]] = ([], [])
    for run in sides:
        run(example)
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            sides[side](example)
            times[side].append(time.perf_counter() - start)
    return Latency(statistics.median(times[0]), statistics.median(times[1]), batch, torch.get_num_threads(), rounds)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
