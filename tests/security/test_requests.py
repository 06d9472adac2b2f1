"""Hostile and made-up requests: a real service takes the whole corpus; its description holds for thousands of requests."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.security.api import faults_of, report_of
from tests.security.corpus import SETTINGS, attacked
from tests.services.fake import listening, make_service
from tests.services.lab import ROOT, Lab


@pytest.mark.ray
def test_the_corpus_is_refused_and_the_service_lives_on(ray_cluster, tmp_path):
    half = {"cpus": 0.5}
    lab = Lab(tmp_path, stores={"clips": str(tmp_path / "store")}, host=half, decoder=half, **SETTINGS)
    (tmp_path / "store").mkdir()
    lab.start()
    try:
        outcome = attacked(lab)
    finally:
        lab.stop()
    assert outcome.faults == []
    assert sum(statuses.total() for statuses in outcome.statuses.values()) > 250


def test_the_routes_answer_as_they_are_described(tmp_path):
    """Over a fake backend: the routes and their checks are real, the models are not."""
    service = make_service(tmp_path)
    with listening(service) as url:
        report, words = report_of(url, service.token, examples=15, patience=300)
    assert faults_of(report) == [], words[-3000:]
    assert report["test_cases"]["generated"] > 500


@pytest.mark.slow
@pytest.mark.parametrize("name", ["videos", "api"])
def test_thousands(name):
    done = subprocess.run([sys.executable, "-m", "tests.security", name], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
