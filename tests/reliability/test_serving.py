"""What the services promise under load and faults holds, as `python -m tests.reliability` measures it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.services.lab import ROOT

NAMES = ("soak", "overload", "kills", "stream", "update", "scale")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_promise(name):
    """In a process of its own, with its own Ray."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.reliability", name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_all_promises_are_tested():
    from tests.reliability.serving import PROMISES

    assert set(NAMES) == set(PROMISES)
