"""`python -m tests.conformance [FOLDER ...]`: run conformance cases and print one line for each."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.conformance.conformance import load_case, relative_error
from vidmodels.core.errors import VidmodelsError

OWN = Path(__file__).parent / "cases"


def find_cases(folders: Sequence[str | Path]) -> list[Path]:
    """Folders of cases at or below the given ones."""
    found = []
    for folder in folders:
        if not Path(folder).is_dir():
            raise VidmodelsError(f"no folder {folder}: give a case or a folder above cases")
        cases = sorted(path.parent for path in Path(folder).rglob("case.json"))
        if not cases:
            raise VidmodelsError(f"no case.json in {folder} or below it")
        found += cases
    return found


def run_case(folder: Path) -> tuple[bool, str]:
    """Whether the case passes, and a line: worst relative error, tolerance, or what is missing."""
    case, reference = load_case(folder)
    name = f"{case['system']}/{folder.name}"
    try:
        adapter = importlib.import_module(f"tests.conformance.adapters.{case['system']}")
    except ModuleNotFoundError:
        return False, f"FAIL {name}: no adapter for the system {case['system']!r}"
    try:
        answers = adapter.run(case)
    except (VidmodelsError, NotImplementedError, KeyError) as error:
        return False, f"FAIL {name}: {type(error).__name__}: {error}"
    if missing := sorted(reference.keys() - answers.keys()):
        return False, f"FAIL {name}: the adapter does not know the output {', '.join(missing)}"
    errors = {key: relative_error(np.asarray(answers[key], np.float32), reference[key]) for key in reference}
    worst = max(errors, key=lambda key: errors[key])
    passed = errors[worst] <= case["tolerance"]
    return passed, f"{'ok  ' if passed else 'FAIL'} {name}: {errors[worst]:.2e} <= {case['tolerance']:g} ({worst})"


def main(argv: Sequence[str]) -> int:
    """Exit code 0 when all cases pass."""
    try:
        cases = find_cases(argv or [OWN])
    except VidmodelsError as error:
        print(f"tests.conformance: {error}", file=sys.stderr)
        return 2
    failures = 0
    for folder in cases:
        passed, line = run_case(folder)
        failures += not passed
        print(line, flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
