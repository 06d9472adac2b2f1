"""The command `vidmodels`: finds the command that is asked for, and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence

from vidmodels.core.errors import ConfigError, MissingExtraError, VidmodelsError, did_you_mean
from vidmodels.core.logs import LEVELS, setup_logging

Run = Callable[[Sequence[str]], int]

COMMANDS = {
    "models": ("vidmodels.cli.models", "list the models"),
    "show": ("vidmodels.cli.show", "what is known about a model"),
    "predict": ("vidmodels.cli.predict", "classes of videos"),
    "detect-actions": ("vidmodels.cli.detect_actions", "what each person in videos does"),
    "explain": ("vidmodels.cli.explain", "where in a video the evidence for a class lies"),
    "features": ("vidmodels.cli.features", "embeddings of videos, to Parquet"),
    "search": ("vidmodels.cli.search", "the videos most like a video, by their features"),
    "probe": ("vidmodels.cli.probe", "how well features tell classes apart"),
    "map": ("vidmodels.cli.map", "videos as a picture, like ones near each other"),
    "export": ("vidmodels.cli.export", "a model as ONNX or a torch.export program"),
    "convert": ("vidmodels.cli.convert", "a published checkpoint to safetensors"),
    "checkpoints": ("vidmodels.cli.checkpoints", "checkpoints of a run and whether they verify"),
    "call": ("vidmodels.cli.call", "ask a service over HTTP"),
    "data check": ("vidmodels.cli.data_check", "find faults in a data set"),
    "data synth": ("vidmodels.cli.data_synth", "render synthetic videos with their truth"),
    "env": ("vidmodels.cli.env", "versions and hardware, for reports of faults"),
}
PLUGINS = {
    "register": "bring weights to the model registry",
    "runs": "runs and their lineage",
    "lineage": "what a model version was made from",
    "serve": "serve registered models over HTTP",
    "token": "tokens that requests to a service show",
}
EXTRAS = {"mlflow": "mlflow", "sqlalchemy": "mlflow", "ray": "ray", "pandas": "ray", "fastapi": "serve", "starlette": "serve"}
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 + the number of the signal, as shells say it


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code: 0, 1 for what went wrong, 2 for usage, 130 when interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = ""
    try:
        options, words = _global_options().parse_known_args(words)
        setup_logging(options.log_level, options.log_json)
        if not words or words[0] in ("-h", "--help"):
            print(usage())
            return 0 if words else 2
        if words[0] == "--version":
            print(f"vidmodels {importlib.metadata.version('vidmodels')}")
            return 0
        name, run, rest = find(words)
        code = run(rest)
        sys.stdout.flush()
        return code
    except VidmodelsError as error:
        return _failed(name, str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at exit
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is None:
            raise
        return _failed(name, f"{error.filename}: {error.strerror}", 1)
    except KeyboardInterrupt:
        return INTERRUPTED


def find(words: Sequence[str]) -> tuple[str, Run, list[str]]:
    """Name and function of the command that the words start with, and the rest of them. Raises ConfigError."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in COMMANDS:
            module = importlib.import_module(COMMANDS[name][0])
            return name, module.run, list(words[length:])
    plugins = plugin_points()
    if words[0] in plugins:
        return words[0], _load(plugins[words[0]]), list(words[1:])
    _explain_group(words)
    known = {name.split()[0] for name in COMMANDS} | set(plugins)
    raise ConfigError(f"unknown command {words[0]!r}{did_you_mean(words[0], known)}; `vidmodels --help` lists all")


def plugin_points() -> dict[str, importlib.metadata.EntryPoint]:
    """Commands that other packages bring along, by name; none of them is imported."""
    return {point.name: point for point in importlib.metadata.entry_points(group="vidmodels.commands")}


def usage() -> str:
    """The page of `vidmodels --help`."""
    lines = {name: text for name, (_, text) in COMMANDS.items()}
    lines |= {name: PLUGINS.get(name, "") for name in sorted(plugin_points()) if name not in lines}
    width = max(map(len, lines))
    return "\n".join(
        [
            "usage: vidmodels [--log-level LEVEL] [--log-json] COMMAND ...",
            "",
            "commands (`vidmodels COMMAND --help` tells more):",
            *(f"  {name:<{width}}  {text}".rstrip() for name, text in lines.items()),
            "",
            "options:",
            f"  --log-level LEVEL  {', '.join(LEVELS)} (default: warning)",
            "  --log-json         log as JSON lines",
            "  --version          version of the package",
        ]
    )


def _global_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vidmodels", add_help=False, allow_abbrev=False)
    parser.add_argument("--log-level", default="warning", choices=LEVELS)
    parser.add_argument("--log-json", action="store_true")
    return parser


def _explain_group(words: Sequence[str]) -> None:
    """For the first word of commands of two words: help, or an error that names the second words."""
    inner = {name.split()[1]: text for name, (_, text) in COMMANDS.items() if name.startswith(f"{words[0]} ")}
    if not inner:
        return
    if len(words) > 1 and words[1] in ("-h", "--help"):
        print(f"usage: vidmodels {words[0]} COMMAND ...\n")
        print("\n".join(f"  {name}  {text}" for name, text in inner.items()))
        raise SystemExit(0)
    choices = ", ".join(f"`vidmodels {words[0]} {name}`" for name in inner)
    if len(words) == 1:
        raise ConfigError(f"{words[0]} needs another word: {choices}")
    raise ConfigError(f"unknown command '{words[0]} {words[1]}'{did_you_mean(words[1], inner)}; there are {choices}")


def _load(point: importlib.metadata.EntryPoint) -> Run:
    """The function behind an entry point. Raises MissingExtraError where what it needs is not installed."""
    try:
        return point.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        raise MissingExtraError(f"{missing} is not installed: pip install 'vidmodels[{EXTRAS[missing]}]'") from None


def _failed(name: str, message: str, code: int) -> int:
    print(f"vidmodels {name}: {message}" if name else f"vidmodels: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
