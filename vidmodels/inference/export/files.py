"""Exported files: writing them, opening them, and the model that they hold, which is used as the eager one is.

N clips, K classes.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vidmodels.core.entry import AudioSpec, InputSpec
from vidmodels.core.errors import ConfigError, MissingExtraError, RunError, WeightsError
from vidmodels.core.label_sets import classes_of
from vidmodels.heads.projection import label_sets_of
from vidmodels.inference.export.signature import Input
from vidmodels.inference.export.trace import first_line, quiet

Format = Literal["onnx", "torch-export"]
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
EXTRA = ("onnx", "onnxruntime", "onnxscript")
ABOUT = "vidmodels"
"""Key of what a file says about itself, as JSON: in an ONNX file's metadata, and among a program's extra files."""
DATA = ".data"
"""What is added to the name of an ONNX file for the file with the weights of a large one."""
MESSAGE_LIMIT = 1_800_000_000  # bytes of weights from which an ONNX file keeps them beside it: it may not exceed 2 GB

Run = Callable[[dict[str, Tensor]], Tensor]
"""Inputs by name to logits."""


class ExportedModel(nn.Module):
    """The model in an exported file, on the CPU, as the classifier or detector that it was made from.

    about: what the file says of itself; `input`, `num_classes`, `label_sets`, `activation`, `classes` (None: no names) are
    taken from it.
    """

    def __init__(self, run: Run, about: dict[str, Any], path: Path) -> None:
        super().__init__()
        self.run, self.about, self.path = run, about, path
        self.name, self.num_classes, self.activation = about["name"], about["num_classes"], about["activation"]
        self.label_sets = label_sets_of(about.get("label_sets") or self.num_classes)
        self.classes = classes_of(about["classes"], self.label_sets) if about.get("classes") else None
        self.input = _spec(about["input"])
        self.inputs = tuple(Input(**{**each, "shape": tuple(each["shape"])}) for each in about["inputs"])
        self.batch: int | None = about["batch"]
        self.eval()

    @property
    def detects(self) -> bool:
        """Whether it takes boxes too."""
        return any(each.rows == "boxes" for each in self.inputs)

    @torch.no_grad()
    def forward(self, clips: Tensor, *more: Tensor) -> Tensor:
        """Logits [N, K] of clips [N, 3, T, S, S] (of boxes, where the model takes them) and its further inputs.

        A model that hears answers without its sound for clips that come alone. Raises ConfigError for inputs that do not fit.
        """
        if clips.device.type != "cpu":
            raise ConfigError(f"{self.path} runs on the CPU, and the clips are on {clips.device}: bring them to the CPU")
        given = dict(zip((each.name for each in self.inputs), (clips, *more)))
        if not more:
            given |= {each.name: _absent(each, len(clips)) for each in self.inputs[1:] if each.rows == "batch"}
        for each in self.inputs:
            if each.name not in given:
                raise ConfigError(f"{self.path} also takes {each}: give it after the clips")
            if tuple(given[each.name].shape[1:]) != each.shape:
                raise ConfigError(
                    f"{each.name} of shape {tuple(given[each.name].shape)} do not fit {self.path}: it takes {each}"
                )
        if self.batch is None or len(clips) == self.batch:
            return self.run(given)
        if self.detects:
            raise ConfigError(
                f"{self.path} takes {self.batch} clips at once, not {len(clips)}: export it with --batch {len(clips)}"
            )
        parts = [
            {name: value[at : at + self.batch] for name, value in given.items()} for at in range(0, len(clips), self.batch)
        ]
        return torch.cat([self._filled(part) for part in parts])

    def _filled(self, part: dict[str, Tensor]) -> Tensor:
        """The answers of at most as many clips as the file takes; what is missing is the last one again."""
        count = len(part["clips"])
        missing = (self.batch or count) - count
        return self.run({name: torch.cat([x, x[-1:].expand(missing, *x.shape[1:])]) for name, x in part.items()})[:count]


def is_exported(name: str | Path) -> bool:
    """Whether a path is one of an exported model, by its ending."""
    return Path(name).suffix in SUFFIXES.values()


def open_exported(path: str | Path) -> ExportedModel:
    """The model in a file of `export_model`, on as many threads as torch has.

    A .pt2 file is a program: PyTorch may run what it says, so open only your own. Raises WeightsError for a file that is no
    exported model, MissingExtraError for ONNX without ONNX Runtime.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no exported model at {path}: check the path")
    run, text = _open_program(path) if path.suffix == SUFFIXES["torch-export"] else _open_onnx(path)
    try:
        return ExportedModel(run, json.loads(text), path)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} does not say which model it holds ({first_line(error)}): make it with `vidmodels export`"
        ) from None


def write_program(
    program: torch.export.ExportedProgram, path: Path, format: Format, inputs: Sequence[Input], about: dict[str, Any]
) -> None:
    """Write a traced network in a format, with what it says about itself."""
    text = json.dumps(about)
    if format == "torch-export":
        program.example_inputs = None  # clips that would be as large as a small model
        with quiet():
            torch.export.save(program, path, extra_files={ABOUT: text})
        return
    with quiet():
        made = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=[each.name for each in inputs], output_names=["logits"]
        )
    assert made is not None
    made.model.metadata_props[ABOUT] = text
    large = sum(value.numel() * value.element_size() for value in program.state_dict.values()) > MESSAGE_LIMIT
    made.save(str(path), external_data=large)


@contextlib.contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A file of the target's name in a folder of its own, which takes the target's place, with what lies beside it, at the
    end of a block without an error. Raises RunError where nothing can be written."""
    check_folder(target)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}; choose another folder") from None
    try:
        yield folder / target.name
        for name in (f"{target.name}{DATA}", target.name):  # the file itself last: it names what lies beside it
            if (folder / name).exists():
                (folder / name).replace(target.parent / name)
    except OSError as error:
        raise RunError(f"cannot write {target}: {error.strerror or error}; free some space or choose another folder") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_folder(target: Path) -> None:
    """Raise RunError where there is no folder to write a file to."""
    if not target.parent.is_dir():
        raise RunError(f"there is no folder {target.parent} to write {target.name} to: make it, or choose another one")


def size_of(path: Path) -> int:
    """Bytes of an exported file and of weights beside it."""
    return sum(file.stat().st_size for file in (path, path.with_name(f"{path.name}{DATA}")) if file.exists())


def need(*modules: str) -> None:
    """Raise MissingExtraError for the first of the modules that is not installed."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise MissingExtraError(f"{name} is not installed: pip install 'vidmodels[export]'") from None


def _open_program(path: Path) -> tuple[Run, str]:
    files = {ABOUT: ""}
    try:
        with quiet():
            module = torch.export.load(path, extra_files=files).module()
    except Exception as error:  # zipfile's, torch's and JSON's own, by the kind of damage
        raise WeightsError(f"{path} is no whole torch.export program ({first_line(error)}): export it again") from None
    return lambda inputs: module(*inputs.values()), files[ABOUT]


def _open_onnx(path: Path) -> tuple[Run, str]:
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3  # errors only: it warns of every initialiser that it folds
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base but this
        raise WeightsError(f"{path} is no ONNX model that ONNX Runtime opens ({first_line(error)}): export it again") from None
    names = [each.name for each in session.get_inputs()]

    def run(inputs: dict[str, Tensor]) -> Tensor:
        return torch.from_numpy(session.run(None, {name: inputs[name].contiguous().numpy() for name in names})[0])

    return run, session.get_modelmeta().custom_metadata_map.get(ABOUT, "{}")


def _spec(fields: dict[str, Any]) -> InputSpec:
    audio = fields["audio"]
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    values["audio"] = None if audio is None else AudioSpec(**audio)
    return InputSpec(**values)


def _absent(each: Input, count: int) -> Tensor:
    """Zeros (False) for an input that is not there."""
    return torch.zeros(count, *each.shape, dtype=torch.bool if each.dtype == "bool" else torch.float32)
