"""`vidmodels models`, `show` and `env`."""

from __future__ import annotations

import json

from vidmodels import zoo


def test_models_as_a_table(run):
    lines = run("models").out.splitlines()
    assert lines[0].split() == ["name", "task", "input", "params", "licence"]
    assert len(lines) == 1 + len(zoo.entries())
    large = next(line for line in lines if line.startswith("mae_st_vit_l "))
    assert "16 x 4, 224 px" in large
    assert "304.5 M" in large


def test_models_by_pattern_and_task(run):
    found = json.loads(run("models", "*tiny*", "--task", "classify", "--json").out)
    assert [row["name"] for row in found] == ["mae_st_vit_tiny"]
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


def test_show_counts_what_the_card_leaves_open(run):
    facts = json.loads(run("show", "mae_st_vit_tiny", "--count", "--json").out)
    model = zoo.create_model("mae_st_vit_tiny")
    assert facts["params"] == sum(p.numel() for p in model.parameters())
    # 512 tokens of 96: products with the weights, attention, patches, head
    tokens, dim, depth = 512, 96, 4
    expected = depth * (12 * tokens * dim**2 + 2 * tokens**2 * dim) + tokens * dim * 96 + dim * 10
    assert facts["macs"] == expected


def test_env_names_versions(run):
    facts = json.loads(run("env", "--json").out)
    assert facts["torch"][0].isdigit()
    assert facts["accelerator"] != "not looked for"
    assert "torch" in run("env").out
