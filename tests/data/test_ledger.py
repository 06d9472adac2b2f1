"""The ledger knows what was being decoded by processes that died."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from vidmodels.data.ledger import FileLedger


def test_what_a_dead_process_began_is_suspect(tmp_path):
    ledger = FileLedger(tmp_path)
    assert ledger.begin(["a", "b"]) == set()
    assert ledger.suspects() == set()  # its own work is not suspect
    assert json.loads((tmp_path / f"{os.getpid()}.json").read_text()) == ["a", "b"]
    ledger.done(["a", "b"])
    code = f"from vidmodels.data.ledger import FileLedger as L; import os; L({str(tmp_path)!r}).begin(['x', 'y']); os.abort()"
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL).returncode == -6
    assert ledger.suspects() == {"x", "y"}
    assert ledger.begin(["a", "x"]) == {"x"}
    ledger.done(["a", "x"])
    assert ledger.begin(["b", "x"]) == {"x"}  # and stays suspect


def test_what_was_done_is_not_suspect(tmp_path):
    code = f"from vidmodels.data.ledger import FileLedger as L; l = L({str(tmp_path)!r}); l.begin(['x']); l.done(['x'])"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert FileLedger(tmp_path).suspects() == set()
