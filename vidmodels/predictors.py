"""Predictors by the name of a model: the zoo builds it, a weights file fills it, its class names travel along."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidmodels import zoo
from vidmodels.core.entry import ZooEntry
from vidmodels.core.errors import ConfigError, WeightsError
from vidmodels.core.label_sets import NumClasses, total_of

if TYPE_CHECKING:
    from torch import nn

    from vidmodels.inference.predictor import Predictor
    from vidmodels.weights.load import LoadReport

PRECISIONS = ("float32", "bf16", "fast")


def make_predictor(
    model: str | nn.Module,
    weights: str | Path | None = None,
    device: str | None = None,
    precision: str = "float32",
    classes: Sequence[str] | None = None,
    batch_size: int = 8,
    allow: tuple[str, ...] = (),
    **settings: Any,
) -> Predictor:
    """A predictor for a model of the zoo.

    model: a name of the zoo, a model made by `create_model` (the predictor takes a copy), or (without `weights`) weights that
    say which model they are: a file of `save_weights`, a run's folder, models:/NAME@ALIAS, or an exported model, FILE.onnx
    or FILE.pt2. Batch norms are folded into the convolutions before them.
    weights: a checkpoint in any format that the card names; None leaves the initial values. precision: float32, bf16, or
    fast (bf16 where the hardware has units for it). classes: names, default those in the weights file. allow: patterns of
    parameters that may keep their initial values, such as head.* for features. settings: of the model, such as num_classes.
    Raises ConfigError for unknown names, WeightsError for weights that do not fit or leave parameters as they were.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision {precision!r} does not exist: choose one of {', '.join(PRECISIONS)}")
    if isinstance(model, str) and names_exported(model):
        if weights is not None or settings:
            raise ConfigError(f"{model} is exported with its weights and settings: give it without others, or export it again")
        return _exported(model, classes, device, precision, batch_size)
    if isinstance(model, str) and names_weights(model):
        if weights is not None:
            raise ConfigError(f"{model} is a weights file already: give it without other weights")
        model, weights = "", model
    from vidmodels.inference.fold import fold_norms

    path = None if weights is None else _local(weights)
    built: Any = model
    if isinstance(model, str):
        known = {} if path is None else _metadata(path)
        row = zoo.entry(model or _name_in(known, str(weights)))
        built = zoo.create_model(row.name, **{**settings_of(row, known, classes), **settings})
    report = None
    if path is not None:
        report = load_checked(built, path, allow)
    names = classes or (report.metadata.get("classes") if report is not None else None) or None
    built = fold_norms(built, in_place=isinstance(model, str))
    return _assembled(built, names, weights, device, precision, batch_size, report)


def names_weights(model: str) -> bool:
    """Whether a word names weights (a path or an address) rather than a model of the zoo."""
    return model not in zoo.entries() and ("/" in model or model.endswith(".safetensors") or names_exported(model))


def names_exported(model: str) -> bool:
    """Whether a word names a file of `vidmodels export`, by its ending."""
    return model.endswith((".onnx", ".pt2"))


def _local(weights: str | Path) -> Path:
    from vidmodels.weights.files import weights_file

    return weights_file(zoo.resolve_weights(str(weights)))


def _metadata(path: Path) -> dict[str, Any]:
    """What a file of `save_weights` says about itself; {} for foreign formats."""
    return zoo.read_metadata(path) if path.suffix == ".safetensors" else {}


def _name_in(metadata: dict[str, Any], weights: str) -> str:
    """The model's name in the metadata of a weights file. Raises WeightsError where it says none."""
    if "name" not in metadata:
        raise WeightsError(f"{weights} does not say which model it is: name the model, and give the file as its weights")
    return str(metadata["name"])


def settings_of(row: ZooEntry, metadata: dict[str, Any], classes: Sequence[str] | None) -> dict[str, Any]:
    """Settings that the weights file was saved with; else as many classes as there are names."""
    settings: dict[str, Any] = {}
    if metadata.get("name") == row.name:
        saved = metadata.get("settings", {})
        settings = {key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()}
    names = metadata.get("classes") or classes
    if row.task in ("classify", "detect_actions") and names and "num_classes" not in settings:
        settings["num_classes"] = len(names)
    return settings


def convert_weights(
    name: str,
    source: Path,
    target: str | Path,
    classes: Sequence[str] | None = None,
    num_classes: NumClasses | None = None,
    allow: tuple[str, ...] = (),
) -> LoadReport:
    """Write a checkpoint in any format of a model as safetensors, with the class names given or those that it has.

    num_classes: of its head, where it is neither the published number nor said by the file. allow: as for `make_predictor`.
    Raises ConfigError for class names that do not fit, WeightsError for weights that do not.
    """
    row, known = zoo.entry(name), _metadata(source)
    settings = settings_of(row, known, classes) | ({} if num_classes is None else {"num_classes": num_classes})
    names = tuple(classes or known.get("classes") or ())
    count = settings.get("num_classes")
    if names and count is not None and len(names) != total_of(count):
        raise ConfigError(f"{len(names)} class names do not fit the {total_of(count)} classes of the model")
    model = zoo.create_model(row.name, **settings)
    report = load_checked(model, source, allow)
    kept = {key: value for key, value in known.items() if key != "settings"} | {"source_file": source.name, "name": row.name}
    zoo.save_weights(model, target, kept | ({"classes": list(names)} if names else {}))
    return report


def load_checked(model: nn.Module, path: Path, allow: tuple[str, ...] = ()) -> LoadReport:
    """Load weights like `zoo.load_weights`, and refuse a file that leaves parameters with their initial values.

    Answers of such a model look right and mean nothing. allow: patterns of parameters that may stay as they are.
    Raises WeightsError.
    """
    report = zoo.load_weights(model, path, allow=allow)
    random = [key for key in report.new if not any(fnmatchcase(key, pattern) for pattern in allow)]
    if not random:
        return report
    wrong = [why for key, why in report.dropped.items() if key in random]
    reason = f" ({wrong[0]})" if wrong else ""
    raise WeightsError(
        f"{report.source} holds no {random[0]} that fits the model{reason}, so its answers would be random: give the number "
        "of classes that it was trained for, or weights of a trained classifier"
    )


def _assembled(
    model: nn.Module,
    classes: Sequence[str] | None,
    weights: str | Path | None,
    device: str | None,
    precision: str,
    batch_size: int,
    report: LoadReport | None,
) -> Predictor:
    from vidmodels.inference.predictor import Predictor, checked_device
    from vidmodels.training.precision import fast_precision, resolve_precision

    place = checked_device(device)
    precision = fast_precision(place) if precision == "fast" else resolve_precision(place, precision, model)
    said = None if weights is None else str(weights)
    predictor = Predictor(model, classes=classes, weights=said, device=str(place), precision=precision, batch_size=batch_size)
    predictor.report = report
    return predictor


def _exported(path: str, classes: Sequence[str] | None, device: str | None, precision: str, batch_size: int) -> Predictor:
    """A predictor for the model in an exported file, which runs on the CPU in the arithmetic that it was exported in."""
    from vidmodels.inference.export import open_exported
    from vidmodels.inference.predictor import Predictor

    if device not in (None, "cpu"):
        raise ConfigError(f"{path} runs on the CPU only, not on {device}: leave the device out, or use the weights")
    if precision == "bf16":
        raise ConfigError(f"{path} runs in the arithmetic that it was exported in, not in bf16: leave the precision out")
    model = open_exported(path)
    if model.detects:
        raise ConfigError(f"{path} takes boxes too: exported detectors of actions are used from Python, see `open_exported`")
    said = path if model.about.get("weights") else None
    names = classes or model.classes
    return Predictor(model, classes=names, name=model.name, weights=said, device="cpu", batch_size=batch_size)
