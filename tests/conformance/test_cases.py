"""All conformance cases of the project: each must pass; the large ones only with the slow tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.__main__ import OWN, find_cases, run_case

LARGE = 150_000_000  # parameters


def _parameters(folder: Path) -> int:
    case = json.loads((folder / "case.json").read_text())
    return case.get("params") or 0


CASES = [
    pytest.param(
        folder,
        id=folder.relative_to(OWN).as_posix(),
        marks=[pytest.mark.slow] if _parameters(folder) > LARGE else [],
    )
    for folder in find_cases([OWN])
]


@pytest.mark.parametrize("folder", CASES)
def test_case(folder):
    passed, line = run_case(folder)
    assert passed, line


def test_the_cases_are_numbers_only():
    """No weights, text files or code of a reference implementation beside the answers."""
    assert {path.name for path in OWN.rglob("*") if path.is_file()} == {"case.json", "outputs.npz"}
    assert all((folder / "outputs.npz").is_file() for folder in find_cases([OWN]))
