"""What MIGRATION.md says is called so here, is called so here."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.policy.files import ROOT
from vidmodels import zoo
from vidmodels.core.recipe import ClassifyRecipe, RunSection, flatten
from vidmodels.data import video_transforms

TEXT = (ROOT / "MIGRATION.md").read_text()
OURS = [row.rsplit("|", 2)[1] for row in TEXT.splitlines() if row.startswith("|") and not row.startswith("|---")]
SPANS = [span for cell in OURS for span in re.findall(r"`([^`]+)`", cell)]


def section(title: str) -> str:
    return TEXT.partition(f"### {title}\n")[2].partition("\n#")[0]


def test_every_row_says_something():
    assert len(OURS) > 90
    assert all(cell.strip() for cell in OURS)


@pytest.mark.parametrize("name", sorted({found[0] for span in SPANS if (found := re.match(r"vidmodels(?:\.\w+)+", span))}))
def test_names_exist(name):
    module, _, last = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        assert hasattr(importlib.import_module(module), last), name


def test_models_exist():
    named = re.findall(r'create_model\("(\w+)"', " ".join(SPANS))
    assert len(named) >= 5
    missing = {name for name in named if name not in zoo.entries()}
    assert missing == set()


def test_keys_of_recipes_exist():
    known = {*flatten(ClassifyRecipe().model_dump(mode="json")), *(f"run.{key}" for key in RunSection.model_fields)}
    table = TEXT.partition("| key of PySlowFast |")[2]
    keys = re.findall(r"`((?:data|model|optim|schedule|train|evaluation|run)\.[\w.]+)`", table)
    assert len(keys) > 40
    assert [key for key in keys if key not in known] == []


def test_transforms_exist():
    rows = [row.split("|")[1:3] for row in section("Transforms").splitlines() if row.startswith("| `")]
    names = [name for left, right in rows for name in re.findall(r"`(\w+)", left if "same name" in right else right)]
    assert len(names) > 25
    assert [name for name in names if name != "v2" and name != "audio" and not hasattr(video_transforms, name)] == []
