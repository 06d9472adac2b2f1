"""A run's name and folder: what continues, what is finished, what is refused."""

from __future__ import annotations

import pytest

from pipelines.common.runs import FINISHED_FILE, open_run, run_identity, run_name
from vidmodels.core.errors import ConfigError, RunError
from vidmodels.core.recipe import MaskedRecipe

IDENTITY = {"optim": {"lr": 1.0}, "data_digest": "d"}


def test_a_name_is_a_hash_of_recipe_and_data():
    recipe = MaskedRecipe()
    moved = recipe.replace(data=recipe.data.replace(path="/elsewhere"))
    faster = recipe.replace(optim=recipe.optim.replace(lr=0.5))
    name = run_name("p", None, run_identity(moved, "d"))
    assert name == run_name("p", None, run_identity(recipe.replace(data=recipe.data.replace(path="/here")), "d"))
    assert name != run_name("p", None, run_identity(moved, "e"))
    assert name != run_name("p", None, run_identity(faster.replace(data=moved.data), "d"))


def test_a_field_that_came_later_changes_no_name_while_it_has_its_default():
    recipe = MaskedRecipe()
    before = run_identity(recipe, "d")
    assert "trust" not in before["optim"]
    assert "gap" not in before["data"]["clip"]
    set_ = recipe.replace(optim=recipe.optim.replace(trust=0.01))
    assert run_identity(set_, "d")["optim"]["trust"] == 0.01
    assert run_name("p", None, run_identity(set_, "d")) != run_name("p", None, before)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 102])
def test_a_name_cannot_leave_the_storage(name):
    with pytest.raises(ConfigError, match=r"run\.name"):
        run_name("p", name, IDENTITY)


def test_the_same_recipe_continues_and_says_when_it_is_finished(tmp_path):
    first, finished = open_run(str(tmp_path), "r", IDENTITY, fresh=False)
    assert finished is None
    (first.scratch / "mine.txt").write_text("kept")
    again, finished = open_run(str(tmp_path), "r", IDENTITY, fresh=False)
    assert (again.uri, finished) == (first.uri, None)
    again.write_json(FINISHED_FILE, {"step": 7})
    assert open_run(str(tmp_path), "r", IDENTITY, fresh=False)[1] == {"step": 7}
    assert (first.scratch / "mine.txt").read_text() == "kept"


def test_another_recipe_under_the_same_name_lists_the_keys_that_differ(tmp_path):
    open_run(str(tmp_path), "r", IDENTITY, fresh=False)
    with pytest.raises(RunError, match=r"optim\.lr: 1\.0 -> 2\.0.*--run\.name.*--fresh"):
        open_run(str(tmp_path), "r", {**IDENTITY, "optim": {"lr": 2.0}}, fresh=False)


def test_fresh_sets_the_old_folder_aside(tmp_path):
    for number in range(3):
        folder, finished = open_run(str(tmp_path), "r", {"n": number}, fresh=True)
        assert finished is None
        folder.write_json(FINISHED_FILE, {"step": number})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r", "r.old-1", "r.old-2"]


def test_a_damaged_recipe_file_is_named(tmp_path):
    folder, _ = open_run(str(tmp_path), "r", IDENTITY, fresh=False)
    (folder.scratch / "recipe.json").write_text("{")
    with pytest.raises(RunError, match=r"cannot read .*recipe\.json"):
        open_run(str(tmp_path), "r", IDENTITY, fresh=False)


def test_a_storage_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot create .*--run\.storage"):
        open_run(str(tmp_path / "file"), "r", IDENTITY, fresh=False)


def test_an_object_store(tmp_path, monkeypatch):
    """A file:// address goes the way of a local folder; fsspec-like ones are tested with the checkpoints."""
    folder, _ = open_run(tmp_path.as_uri(), "r", IDENTITY, fresh=False)
    assert folder.is_local
    assert (tmp_path / "r" / "recipe.json").exists()
