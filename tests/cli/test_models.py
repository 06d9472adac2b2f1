"""`vidmodels models`, `show` and `env`."""

from __future__ import annotations

import dataclasses
import json

from vidmodels import zoo
from vidmodels.cli.show import counted


def test_models_as_a_table(run):
    lines = run("models").out.splitlines()
    assert lines[0].split() == ["name", "task", "input", "params", "licence"]
    assert len(lines) == 1 + len(zoo.entries())
    large = next(line for line in lines if line.startswith("mae_st_vit_l "))
    assert "16 x 4, 224 px" in large
    assert "304.5 M" in large


def test_models_by_pattern_and_task(run):
    found = json.loads(run("models", "mae_st_*tiny*", "--task", "classify", "--json").out)
    names = [row["name"] for row in found]
    assert names[:2] == ["mae_st_vit_tiny", "mae_st_vit_tiny_8x4x4"]
    assert {row["task"] for row in found} == {"classify"}
    assert "mae_st_vit_tiny_pretrain" not in names
    assert found[0]["input"]["num_frames"] == 16
    ran = run("models", "no_such")
    assert ran.code == 2
    assert "no model fits 'no_such'" in ran.err
    assert "did you mean 'classify'" in run("models", "--task", "clasify").err


def test_show_prints_figures(run):
    text = run("show", "mae_st_vit_l").out
    for part in ("304,506,256", "597.3 G", "84.8 top-1", "224 x 224 px", "CC-BY-NC", "PySlowFast (.pyth)",
                 "mae_st_vit_l_k400_finetune"):  # fmt: skip
        assert part in text


def test_counting_agrees_with_the_card_and_with_arithmetic(run, monkeypatch):
    row = zoo.entry("mae_st_vit_tiny")
    dim, depth, (pt, ph, pw) = row.config["dim"], row.config["depth"], row.config["patch"]
    patches = 16 // pt * (32 // ph) * (32 // pw)
    tokens = patches + 1  # with the class token
    blocks = depth * (12 * tokens * dim**2 + 2 * tokens**2 * dim)
    expected = blocks + patches * dim * (3 * pt * ph * pw) + dim * row.config["num_classes"]
    assert counted(row.name) == (row.params, row.macs)
    assert row.macs == expected

    bare = dataclasses.replace(row, params=None, macs=None)
    monkeypatch.setattr(zoo, "entry", lambda name: bare)
    assert "not in the card" in run("show", row.name).out
    facts = json.loads(run("show", row.name, "--count", "--json").out)
    assert (facts["params"], facts["macs"]) == (row.params, row.macs)


def test_env_names_versions(run):
    facts = json.loads(run("env", "--json").out)
    assert facts["torch"][0].isdigit()
    assert facts["accelerator"] != "not looked for"
    assert "torch" in run("env").out
