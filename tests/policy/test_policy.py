"""The code keeps the rules of the house, and each rule finds what breaks it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.policy import rules
from tests.policy.files import CODE, ROOT, python_files, tracked

LIBRARY, CLI, CARD = "vidmodels/ops/some.py", "vidmodels/cli/some.py", "vidmodels/systems/some/card.py"

# rule, path, snippet that breaks it
BROKEN = [
    (rules.media_only_in_probe, LIBRARY, "import av\nav.open(path)"),
    (rules.media_only_in_probe, LIBRARY, "import av\nav.open(path, mode)"),
    (rules.media_only_in_probe, LIBRARY, "import av\nav.open(path, 'r')"),
    (rules.media_only_in_probe, "pipelines/some.py", "import av as video\ndef f(): return video.open(path, mode='r')"),
    (rules.media_only_in_probe, LIBRARY, "def f():\n    from av import open as av_open\n    av_open(path)"),
    (rules.media_only_in_probe, "services/some.py", "import cv2\ncv2.VideoCapture(0)"),
    (rules.media_only_in_probe, "pipelines/some.py", "import ray\nray.data.read_videos(path)"),
    (rules.only_weights_are_loaded, LIBRARY, "import torch\ntorch.load(path)"),
    (rules.only_weights_are_loaded, LIBRARY, "import torch\ntorch.load(path, weights_only=False)"),
    (rules.only_weights_are_loaded, LIBRARY, "import torch\ntorch.load(path, weights_only=flag)"),
    (rules.only_weights_are_loaded, LIBRARY, "from torch import load\nload(path, weights_only=1)"),
    (rules.only_weights_are_loaded, LIBRARY, "import numpy as np\nnp.load(path, allow_pickle=True)"),
    (rules.nothing_runs_code, LIBRARY, "import pickle\npickle.loads(data)"),
    (rules.nothing_runs_code, LIBRARY, "from pickle import load\nload(file)"),
    (rules.nothing_runs_code, LIBRARY, "import pickle\npickle.Unpickler(file).load()"),
    (rules.nothing_runs_code, LIBRARY, "import pickle\nclass Reader(pickle.Unpickler):\n    pass"),
    (rules.nothing_runs_code, "pipelines/some.py", "eval(text)"),
    (rules.nothing_runs_code, "pipelines/some.py", "exec(text)"),
    (rules.nothing_runs_code, "services/some.py", "import yaml\nyaml.load(text, Loader=yaml.Loader)"),
    (rules.nothing_runs_code, "services/some.py", "import subprocess\nsubprocess.run(command, shell=True)"),
    (rules.nothing_runs_code, "services/some.py", "import os\nos.system(command)"),
    (rules.library_imports_no_framework, LIBRARY, "import ray"),
    (rules.library_imports_no_framework, LIBRARY, "def f():\n    from mlflow.entities import Run"),
    (rules.library_imports_no_framework, CLI, "import uvicorn.config"),
    (rules.library_imports_no_framework, LIBRARY, "import importlib\nimportlib.import_module('ray.data')"),
    (rules.library_does_not_print, LIBRARY, "print('here')"),
    (rules.library_does_not_print, LIBRARY, "import sys\nsys.stdout.write('here')"),
    (rules.light_files_import_no_torch, CARD, "import torch"),
    (rules.light_files_import_no_torch, CARD, "try:\n    from torch import nn\nexcept ImportError:\n    nn = None"),
    (rules.light_files_import_no_torch, "vidmodels/core/recipe/some.py", "import torchvision.ops"),
    (rules.nothing_is_swallowed, LIBRARY, "try:\n    f()\nexcept Exception:\n    pass"),
    (rules.nothing_is_swallowed, "pipelines/some.py", "try:\n    f()\nexcept (ValueError, BaseException):\n    ..."),
    (rules.nothing_is_swallowed, LIBRARY, "for x in y:\n    try:\n        f()\n    except:\n        continue"),
    (rules.nothing_is_swallowed, LIBRARY, "from contextlib import suppress\nwith suppress(Exception):\n    f()"),
    (rules.opens_with_a_sentence, LIBRARY, "import torch"),
    (rules.opens_with_a_sentence, LIBRARY, '""\nimport torch'),
]

# rule, path, snippet that is allowed
ALLOWED = [
    (rules.media_only_in_probe, rules.PROBE, "import av\nav.open(path)"),
    (
        rules.media_only_in_probe,
        LIBRARY,
        "import av\nav.open(buffer, 'w', format='mp4')\nav.open(buffer, mode='w')\nopen(path)",
    ),
    (
        rules.only_weights_are_loaded,
        LIBRARY,
        "import torch, numpy\ntorch.load(path, weights_only=True)\nnumpy.load(path)",
    ),
    (
        rules.nothing_runs_code,
        LIBRARY,
        "import yaml, subprocess\nmodel.eval()\nyaml.safe_load(t)\nsubprocess.run([a], shell=False)",
    ),
    (
        rules.nothing_runs_code,
        LIBRARY,
        "import pickle\nclass R(pickle.Unpickler):\n    def find_class(self, m, n): ...",
    ),
    (rules.library_imports_no_framework, LIBRARY, "import torch\nfrom vidmodels.core import batch\nfrom . import ray"),
    (rules.library_imports_no_framework, "pipelines/some.py", "import ray, mlflow"),
    (rules.library_does_not_print, CLI, "print('here')"),
    (rules.library_does_not_print, LIBRARY, "console.print('here')\nstream.write('here')"),
    (
        rules.light_files_import_no_torch,
        CARD,
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import nn",
    ),
    (rules.light_files_import_no_torch, CARD, "def f():\n    import torch"),
    (rules.light_files_import_no_torch, "vidmodels/systems/some/model.py", "import torch"),
    (rules.nothing_is_swallowed, LIBRARY, "try:\n    f()\nexcept OSError:\n    pass"),
    (
        rules.nothing_is_swallowed,
        LIBRARY,
        "try:\n    f()\nexcept Exception as error:\n    raise X(str(error)) from None",
    ),
    (rules.opens_with_a_sentence, LIBRARY, ""),
    (rules.opens_with_a_sentence, LIBRARY, '"""What it is."""\nimport torch'),
]


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_code_keeps_the_rule(rule):
    folders = (*CODE, "tests") if rule is rules.opens_with_a_sentence else CODE
    paths = python_files(*folders)
    assert len(paths) > 50
    breaches = [line for path in paths for line in rule(rules.Source(path, (ROOT / path).read_text()))]
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN)
def test_rule_finds_a_breach(rule, path, text):
    assert len(list(rule(rules.Source(path, text)))) == 1


@pytest.mark.parametrize(("rule", "path", "text"), ALLOWED)
def test_rule_lets_pass(rule, path, text):
    assert list(rule(rules.Source(path, text))) == []


def test_every_rule_is_shown_to_fail_and_to_pass():
    assert {rule for rule, *_ in BROKEN} == set(rules.RULES)
    assert {rule for rule, *_ in ALLOWED} == set(rules.RULES)


def test_files_name_no_machine():
    breaches = []
    for path in tracked():
        data = (ROOT / path).read_bytes()
        if b"\0" not in data[:8192]:
            breaches += rules.names_no_machine(path, data.decode(errors="replace"))
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize(
    "text",
    [
        "https://pypi" + ".org/simple",
        "see https://files.pythonhosted" + ".org/packages/x",
        "http://mirror.example/repository/python/sim" + "ple/",
        "https://download.example/w" + "hl/cu130",
        "pip install --extra-index" + "-url X",
        "path = '/ho" + "me/somebody/clips'",
        "/Us" + "ers/somebody",
        "cd /ro" + "ot/clips",
    ],
)
def test_a_named_machine_is_found(text):
    assert len(list(rules.names_no_machine("some.md", text))) == 1


@pytest.mark.parametrize(
    "text", ["https://www.apache.org/licenses/", "~/.vidmodels/runs", "s3://bucket/home/x", "data/root/x", "a simple/x"]
)
def test_other_addresses_pass(text):
    assert list(rules.names_no_machine("some.md", text)) == []


HEAVY = ("torch", "torchvision", "ray", "mlflow", "pandas", "matplotlib", "cv2", "av")


def test_zoo_and_cards_leave_torch_alone():
    # transitively, in a process of its own: what a static look at the files cannot see
    program = (
        "import sys, vidmodels, vidmodels.zoo as zoo\n"
        "from vidmodels.core.recipe import ClassifyRecipe, MaskedRecipe\n"
        "assert zoo.list_models() and zoo.recipes(MaskedRecipe) and zoo.recipes(ClassifyRecipe)\n"
        "[function() for kind in (MaskedRecipe, ClassifyRecipe) for function in zoo.recipes(kind).values()]\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
