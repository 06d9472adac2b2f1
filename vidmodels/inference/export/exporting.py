"""Exporting a model: trace it, write it, open what was written, and compare it with the eager model."""

from __future__ import annotations

import copy
import importlib.metadata
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidmodels.core.entry import InputSpec
from vidmodels.core.errors import ConfigError, RunError, did_you_mean
from vidmodels.heads.roi_action import ActionDetector
from vidmodels.inference.deploy import Deployed, deploy
from vidmodels.inference.export.calibrate import Calibration
from vidmodels.inference.export.files import (
    EXTRA,
    MESSAGE_LIMIT,
    SUFFIXES,
    ExportedModel,
    Format,
    aside,
    need,
    open_exported,
    size_of,
    write_program,
)
from vidmodels.inference.export.quantise import int8_report, quantise
from vidmodels.inference.export.report import ExportReport, Form, largest_error, medians_of, run_of
from vidmodels.inference.export.signature import Input, example_of, inputs_of
from vidmodels.inference.export.trace import trace
from vidmodels.tasks.classify import activation_of
from vidmodels.weights.files import tensors_sha256

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Plan:
    """What is asked for, checked; batch: clips at once, None for any number."""

    format: Format
    spec: InputSpec
    inputs: tuple[Input, ...]
    batch: int | None
    deployed: bool
    calibration: Calibration | None


def export_model(
    model: nn.Module,
    path: str | Path,
    format: Format = "onnx",
    spec: InputSpec | None = None,
    batch: int | None = None,
    deployed: bool = False,
    calibration: Calibration | None = None,
    about: dict[str, Any] | None = None,
    rounds: int = 10,
) -> ExportReport:
    """Write a model as a file, open it, and compare it with the eager model: answers, time and size.

    model: a classifier or a detector of actions in evaluation on the CPU; it stays as it is. spec: its input, default
    `model.input`; frames and side are fixed in the file. batch: clips at once, None for any number where the network can be
    traced so. deployed: the form that `deploy` makes of a ConvNet, for one batch size. calibration: clips from which an ONNX
    model is quantised to int8. about: what the file says of itself, classes for instance. rounds: of the timing.
    No file is left where a step fails. Raises ConfigError for what cannot be exported, MissingExtraError, RunError where the
    answers differ by more than 1e-4 of the largest, or the file cannot be written.
    """
    plan = _plan(model, format, spec, batch, deployed, calibration)
    target = Path(path)
    with aside(target) as written:
        source = _source(model, plan)
        network = source.network if isinstance(source, Deployed) else source  # a file checks shapes itself
        traced = trace(network, plan.inputs, plan.batch)
        says = {**_about(model, replace(plan, batch=traced.batch)), **(about or {})}
        write_program(traced.program, written, plan.format, plan.inputs, says)
        exported = open_exported(written)
        error = _checked(exported, model, traced.batch, plan, target)
        sides: dict[str, tuple[nn.Module, int]] = {"eager": (model, _bytes(model))}
        if isinstance(source, Deployed):
            sides["deployed"] = (source, _bytes(source))
        sides[format] = (exported, size_of(written))
        int8 = None
        if calibration is not None:
            small = _to_int8(written, exported, calibration, plan.spec, {**says, "int8": True})
            sides["int8"] = (small, size_of(written))
            int8 = int8_report(run_of(small), run_of(exported), calibration, plan.spec)
        timed, threads = traced.batch or 1, torch.get_num_threads()
        seconds = medians_of({name: run_of(side) for name, (side, _) in sides.items()}, plan.inputs, timed, rounds)
        forms = tuple(Form(name, size, seconds[name]) for name, (_, size) in sides.items())
    return ExportReport(
        target, format, plan.inputs, traced.batch, traced.note, error, forms, timed, threads, rounds, int8
    )  # fmt: skip


def check_export(format: str, int8: bool = False) -> None:
    """Raise ConfigError for a format that does not exist or cannot be int8, MissingExtraError for one that needs more."""
    if format not in SUFFIXES:
        raise ConfigError(f"there is no format {format!r}{did_you_mean(format, SUFFIXES)}: choose one of {', '.join(SUFFIXES)}")
    if int8 and format != "onnx":
        raise ConfigError(f"int8 is made for onnx, not for {format}: export with --format onnx, or in float")
    if format == "onnx":
        need(*EXTRA)


def _plan(
    model: nn.Module, format: Format, spec: InputSpec | None, batch: int | None, deployed: bool,
    calibration: Calibration | None,
) -> Plan:  # fmt: skip
    check_export(format, calibration is not None)
    name = _name(model)
    if not getattr(model, "num_classes", 0):
        raise ConfigError(f"{name} names no classes: only classifiers and detectors of actions can be exported")
    if model.training:
        raise ConfigError(f"{name} is being trained: set it to evaluation with model.eval() before it is exported")
    found = spec or getattr(model, "input", None)
    if not isinstance(found, InputSpec):
        raise ConfigError(f"the input of {name} is not known: give spec=InputSpec(...)")
    if batch is not None and batch < 1:
        raise ConfigError(f"a batch of {batch} clips cannot be exported: give 1 or more")
    inputs = inputs_of(found, isinstance(model, ActionDetector))
    if len(inputs) > 1 and calibration is not None:
        raise ConfigError(f"int8 is calibrated with clips alone, and {name} also takes {inputs[1].name}: export it in float")
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        raise ConfigError(f"{name} is not on the CPU: bring it there before it is exported")
    if deployed and batch is None:
        batch = 1  # a deployed model is made for one shape
    return Plan(format, found, inputs, batch, deployed, calibration)


def _source(model: nn.Module, plan: Plan) -> nn.Module:
    """The network that is traced: a plain copy, since layouts that are fast in eager mode are work in a file; or deployed."""
    plain = copy.deepcopy(model).eval().requires_grad_(False)
    if not plan.deployed:
        return plain.to(memory_format=torch.contiguous_format)
    clips, *more = example_of(plan.inputs, plan.batch or 1).values()
    return deploy(plain, tuple(clips.shape), *more)


def _checked(exported: ExportedModel, model: nn.Module, batch: int | None, plan: Plan, target: Path) -> float:
    """The largest relative error. Raises RunError where it is too large."""
    batches = (1, 3) if batch is None else (batch,)
    error = largest_error(run_of(exported), run_of(model), plan.inputs, batches)
    if not error <= TOLERANCE:
        raise RunError(
            f"the exported model's answers differ by {error:.1e} of the largest from the eager model's, more than "
            f"{TOLERANCE:.0e}: nothing was written to {target}; please report it with the output of `vidmodels env`"
        )
    return error


def _to_int8(
    written: Path, exported: ExportedModel, calibration: Calibration, spec: InputSpec, says: dict[str, Any]
) -> ExportedModel:
    """Quantise the float file in its place, and open it."""
    if size_of(written) > MESSAGE_LIMIT:
        raise ConfigError(f"{exported.name} has {size_of(written) / 1e9:.1f} GB, too many for int8: export the model in float")
    small = written.with_name(f"int8_{written.name}")
    quantise(written, small, calibration.clips, spec, json.dumps(says))
    small.replace(written)
    return open_exported(written)


def _about(model: Any, plan: Plan) -> dict[str, Any]:
    """What a file says of itself."""
    return {
        "name": _name(model),
        "settings": getattr(model, "settings", {}),
        "num_classes": model.num_classes,
        "label_sets": getattr(model, "label_sets", None),
        "classes": None,
        "activation": activation_of(model),
        "input": asdict(plan.spec),
        "inputs": [asdict(each) for each in plan.inputs],
        "batch": plan.batch,
        "format": plan.format,
        "deployed": plan.deployed,
        "int8": False,
        "tensors_sha256": tensors_sha256(model.state_dict()),
        "vidmodels": importlib.metadata.version("vidmodels"),
    }


def _name(model: nn.Module) -> str:
    entry: Any = getattr(model, "entry", None)
    return type(model).__name__ if entry is None else entry.name


def _bytes(model: nn.Module) -> int:
    return sum(value.numel() * value.element_size() for value in model.state_dict().values())
