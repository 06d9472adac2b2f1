"""The routes against their own description: schemathesis makes valid and wrong requests of /openapi.json.

No answer may have a status of 500 or more, one that the description does not list, or a body of another form than it says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.services.lab import ROOT

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance", "ignored_auth",
)  # fmt: skip
ENDLESS = "/v1/streams/{stream_id}/events"
"""Its answer ends with its stream: nothing that waits for whole answers can ask it."""


def report_of(url: str, token: str, examples: int, seed: int = 0, patience: float = 3600.0) -> tuple[dict[str, Any], str]:
    """The report of a run against a service with a model `moves`, and its words. examples: at most, for each route."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", "--header",
            f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS), "--exclude-path", ENDLESS, "--max-examples",
            str(examples), "--seed", str(seed), "--request-timeout", "60", "--warnings", "off", "--report", "json",
            "--report-json-path", str(report), "--no-color",
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.security.hooks"}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=patience, check=False
        )
        assert report.exists(), done.stdout[-2000:] + done.stderr[-2000:]
        return json.loads(report.read_text()), done.stdout


def faults_of(report: dict[str, Any]) -> list[str]:
    """What was wrong, in words."""
    found = [f"{fault['title']}: {', '.join(fault['operations'])}" for fault in report["failures"]]
    return found + [str(error)[:300] for error in report["errors"]]


def api(examples: int = 600, seed: int = 0) -> list[str]:
    """Against a real service; what was wrong."""
    from tests.reliability.serving import service

    with service("c2d_tiny", streams={"per_token": 10_000, "sessions": 10_000, "idle_s": 20}) as lab:
        report, words = report_of(lab.url, lab.token, examples, seed)
        alive = lab.ask().status_code
    cases, routes, faults = report["test_cases"], report["operations"]["tested"], faults_of(report)
    print(f"api: {cases['generated']} requests to {routes} routes, {cases['unique_failures']} kinds of fault")
    if faults:
        print(words[-6000:])
    return faults + ([] if alive == 200 else [f"afterwards a good request has status {alive}"])
