"""A network as a program of tensor operations: for any number of clips where it can be, else for a fixed number."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vidmodels.core.errors import ConfigError
from vidmodels.inference.export.signature import Input, example_of

LARGEST_BATCH = 4096

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Traced:
    """A program, the number of clips that it takes (None: any), and why it is not any where that was asked for."""

    program: torch.export.ExportedProgram
    batch: int | None
    note: str = ""


def trace(model: nn.Module, inputs: Sequence[Input], batch: int | None) -> Traced:
    """Trace a network in evaluation. Raises ConfigError, which names the cause, for one that cannot be traced."""
    reason = ""
    # the second way reads the Python code and follows lengths that the first one takes for constants
    for strict in (False, True) if batch is None else ():
        try:
            return Traced(_export(model, inputs, None, strict), None)
        except Exception as error:  # the tracer raises errors of many kinds
            reason = first_line(error)
            log.info("tracing for any batch (strict=%s) failed: %s", strict, error)
    fixed = batch or 1
    try:
        program = _export(model, inputs, fixed, False)
    except Exception as error:
        raise ConfigError(
            f"{type(model).__name__} cannot be exported, its operations do not form a fixed program: {first_line(error)}"
        ) from error
    return Traced(program, fixed, f"the batch is fixed: {reason}" if reason else "")


def _export(model: nn.Module, inputs: Sequence[Input], batch: int | None, strict: bool) -> torch.export.ExportedProgram:
    example = example_of(inputs, 2 if batch is None else batch)  # with one clip its number would be taken for a constant
    shapes: Any = None
    if batch is None:
        rows = {each.rows: torch.export.Dim(each.rows, min=1, max=LARGEST_BATCH) for each in inputs}
        shapes = tuple({0: rows[each.rows]} for each in inputs)
    elif any(each.rows == "boxes" for each in inputs):
        boxes = torch.export.Dim("boxes", min=1, max=LARGEST_BATCH)
        shapes = tuple({0: boxes} if each.rows == "boxes" else None for each in inputs)
    # with gradients on, networks take their plain ways: those without are made of pieces that fit one machine's cache
    with quiet(), torch.enable_grad():
        return torch.export.export(model, tuple(example.values()), dynamic_shapes=shapes, strict=strict)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings of tracers and converters, which speak to their authors."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def first_line(error: Exception) -> str:
    """The first line of an error's text, for errors of libraries that write pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
