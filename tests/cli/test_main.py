"""Finding of commands, errors in one line, exit codes, and what help may import."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import subprocess
import sys

import pytest

from vidmodels.cli import main as program
from vidmodels.core.errors import MediaError
from vidmodels.core.logs import setup_logging

HEAVY = ("torch", "torchvision", "numpy", "pydantic", "av", "cv2", "pyarrow", "matplotlib", "rich", "mlflow", "ray")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["models"], ["show", "mae_st_vit_l"], ["data", "check", "--help"], ["data", "synth", "--help"],
     ["predict", "--help"], ["features", "--help"], ["convert", "--help"], ["checkpoints", "--help"], ["env", "--help"]],
)  # fmt: skip
def test_help_and_tables_import_nothing_heavy(words):
    code = (
        "import sys\nfrom vidmodels.cli.main import main\n"
        f"try:\n    code = main({words!r})\nexcept SystemExit as stop:\n    code = stop.code\n"
        f"print('imported', [name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "imported [] 0", done.stderr


def test_help_names_all_commands_and_plugins(run):
    ran = run("--help")
    assert ran.code == 0
    for name in ("models", "predict", "data check", "data synth", "register", "runs"):
        assert f"\n  {name} " in ran.out
    assert run().code == 2
    assert run("--version").out.startswith("vidmodels ")


def test_unknown_commands_name_the_nearest(run):
    ran = run("predit", "x")
    assert ran.code == 2
    assert ran.err == "vidmodels: unknown command 'predit' (did you mean 'predict'?); `vidmodels --help` lists all\n"
    assert "(did you mean 'check'?)" in run("data", "chek").err
    assert run("data").code == 2
    assert run("data", "--help").code == 0


def test_errors_are_one_line_with_their_exit_code(run):
    ran = run("show", "mae_st_vit_tinny")
    assert ran.code == 2
    assert ran.err.startswith("vidmodels show: unknown model 'mae_st_vit_tinny' (did you mean 'mae_st_vit_tiny'?)")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), 130), (MediaError("x"), 1), (PermissionError(13, "Permission denied", "f"), 1)]
)
def test_exit_codes_of_what_is_raised(run, monkeypatch, raised, code):
    def fail(argv):
        raise raised

    monkeypatch.setattr("vidmodels.cli.models.run", fail)
    assert run("models").code == code


def test_a_closed_pipe_is_quiet():
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m vidmodels.cli.main models --json | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() in ("141", "0")  # 0 where the pipe was still open
    assert done.stderr == ""


def test_a_plugin_without_its_extra_names_it(run, monkeypatch):
    point = importlib.metadata.EntryPoint("lineage", "no_such:f", "vidmodels.commands")

    def load(self):
        raise ModuleNotFoundError("No module named 'mlflow'", name="mlflow.tracking")

    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", load)
    monkeypatch.setattr(program, "plugin_points", lambda: {"lineage": point})
    ran = run("lineage")
    assert (ran.code, ran.err) == (1, "vidmodels: mlflow is not installed: pip install 'vidmodels[mlflow]'\n")


def test_log_lines_are_json(capsys):
    setup_logging("info", json_lines=True)
    logging.getLogger("vidmodels.x").info("read %d", 3, extra={"step": 7})
    logging.getLogger("vidmodels.x").debug("not shown")
    logging.getLogger("elsewhere").info("not shown")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    setup_logging()
    assert len(lines) == 1
    assert {key: lines[0][key] for key in ("level", "logger", "message", "step")} == {
        "level": "info", "logger": "vidmodels.x", "message": "read 3", "step": 7,
    }  # fmt: skip


def test_log_options_stand_anywhere(run):
    assert run("models", "tiny", "--log-level", "debug").code == 0
    assert logging.getLogger("vidmodels").level == logging.DEBUG
    assert run("--log-level", "loud", "models").code == 2
    run("models")
