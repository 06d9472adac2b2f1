"""A study's folder: what is kept of trials, whole at any time, and what is said of another space under the same name."""

from __future__ import annotations

import json
import math

import pytest

from pipelines.common.search.outcome import best_of, rows_of, text_table, write_table
from pipelines.common.search.study import Record, open_study
from vidmodels.core.errors import RunError

IDENTITY = {"optim": {"lr": 0.1}, "classes": None, "search": {"space": {"optim.lr": "0.1,0.2"}, "samples": None}}


def study_in(folder, given="mine", fresh=False, **search):
    return open_study(str(folder), "tune_recipe", given, {**IDENTITY, "search": {**IDENTITY["search"], **search}}, fresh)


def test_what_a_trial_came_to_is_there_for_the_next_call(tmp_path):
    study = study_in(tmp_path)
    study.note("trial-1", Record({"optim.lr": 0.1}, 0, "finished", {"loss": 2.0}, 4, 1.5, [[50.0, 3.0], [100.0, 2.0]]))
    study.notes["generations"] = [1]
    study.save()
    again = study_in(tmp_path)
    assert again.records == study.records
    assert again.notes == {"generations": [1]}
    assert not list(study.folder.scratch.glob(".*tmp")), "written whole"


def test_another_space_or_option_is_one_sentence_that_lists_what_differs(tmp_path):
    study_in(tmp_path)
    with pytest.raises(RunError, match=r"search\.space\.optim\.lr: '0\.1,0\.2' -> '0\.1'.*--fresh"):
        study_in(tmp_path, space={"optim.lr": "0.1"})
    with pytest.raises(RunError, match=r"search\.samples: None -> 3"):
        study_in(tmp_path, samples=3)
    study_in(tmp_path, samples=3, fresh=True)
    assert (tmp_path / "mine.old-1" / "recipe.json").exists()
    assert study_in(tmp_path, given=None).name != study_in(tmp_path, given=None, samples=4).name, "else each has its own name"


def test_a_damaged_file_is_one_sentence(tmp_path):
    study = study_in(tmp_path)
    study.folder.write_json("study.json", {"trials": {"a": {"colour": "red"}}})
    with pytest.raises(RunError, match=r"study\.json is damaged .*--fresh"):
        study_in(tmp_path)


def test_the_best_comes_first_and_none_is_best_that_was_not_trained_to_its_end(tmp_path):
    study = study_in(tmp_path)
    for name, state, value in (("a", "finished", 0.5), ("b", "stopped", 0.9), ("c", "finished", 0.7), ("d", "failed", 0.99)):
        study.note(name, Record({"k": name}, 0, state, {"val_top1": value}, error="it burst" if state == "failed" else ""))
    rows = rows_of(study, ["a", "b", "c", "d", "unknown"], "val_top1", "max")
    assert [row.name for row in rows] == ["c", "a", "b", "d"]
    assert math.isnan(rows[-1].score)
    assert best_of(rows).name == "c"
    assert best_of(rows_of(study, ["b", "d"], "val_top1", "max")) is None
    assert best_of(rows_of(study, ["a", "c"], "val_top1", "min")).name == "a"
    assert text_table(rows, "val_top1").splitlines()[1].split()[:3] == ["c", "finished", "0.7000"]
    text = write_table(tmp_path, rows, "val_top1").read_text().splitlines()
    assert text[0] == "trial,state,val_top1,k,seed,step,seconds,error"
    assert text[-1] == "d,failed,,d,0,0,0.0,it burst"
    assert json.loads((study.folder.scratch / "study.json").read_text())["program"] == "tune_recipe"
