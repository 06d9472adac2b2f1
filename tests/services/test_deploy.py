"""The service from a file: what is printed for `serve deploy` is what the settings say, and a real cluster takes it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from infra.checks.serving import faults
from services.app import deploy_config
from services.commands import serve
from services.settings import ServiceSettings
from tests.pipelines.stores import free_port, wait_for
from tests.services.lab import ROOT, Lab
from tests.services.load import Load

BIN = Path(sys.executable).parent


def test_settings_come_back_from_the_file(tmp_path, capsys):
    settings = {
        "models": [{"source": "models:/moves@best", "name": "moves"}],
        "hosts": {"moves": {"gpus": 1, "max_replicas": 4}},
        "stores": {"clips": "/data/clips"},
        "limits": {"deadline_s": 40},
    }
    (tmp_path / "service.json").write_text(json.dumps(settings))
    assert serve(["--config", str(tmp_path / "service.json"), "--host", "0.0.0.0", "--print-config"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert list(faults(config)) == []
    (application,) = config["applications"]
    found = ServiceSettings.model_validate(application["args"])
    assert found == ServiceSettings.model_validate(settings)
    assert config["http_options"] == {"host": "0.0.0.0", "port": 8000, "request_timeout_s": 70}


def test_the_project_s_own_file_is_that_of_its_settings():
    config = yaml.safe_load((ROOT / "infra" / "serve.yaml").read_text())
    settings = ServiceSettings.model_validate(config["applications"][0]["args"])
    assert deploy_config(settings) == config


def test_the_default_application_can_be_built_by_serve():
    from ray import serve as ray_serve

    from services.app import app

    assert isinstance(app, ray_serve.Application)


@contextlib.contextmanager
def head(environment: dict[str, str], port: int) -> Iterator[None]:
    """A Ray head of its own, with its dashboard on a port of this machine."""
    command = [
        str(BIN / "ray"), "start", "--head", "--block", "--port", str(free_port()), "--dashboard-port", str(port),
        "--num-cpus", "8", "--object-store-memory", "200000000", "--disable-usage-stats",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.mark.slow
def test_a_cluster_takes_the_file_and_a_changed_one_without_a_failed_request(tmp_path):
    lab = Lab(tmp_path)
    token_file = tmp_path / "ray-token"
    token_file.write_text("t" * 64)
    dashboard = free_port()
    address = f"http://127.0.0.1:{dashboard}"
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }  # fmt: skip

    def deploy(settings: ServiceSettings, **wrong: int) -> None:
        config = deploy_config(settings, "127.0.0.1", lab.port)
        config["applications"][0]["args"] |= wrong
        (tmp_path / "service.yaml").write_text(yaml.safe_dump(config))
        command = [str(BIN / "serve"), "deploy", str(tmp_path / "service.yaml"), "--address", address]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, timeout=120)

    def state() -> dict:
        headers = {"Authorization": f"Bearer {'t' * 64}"}
        return httpx.get(f"{address}/api/serve/applications/", headers=headers, timeout=30).json()["applications"]["gateway"]

    def answers(url: str) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(url, headers=lab.headers, timeout=10).status_code == 200
        return False

    with head(environment, dashboard):
        wait_for(lambda: answers(f"{address}/api/version") or not _refused(f"{address}/api/version"), 60)
        assert httpx.get(f"{address}/api/serve/applications/", timeout=30).status_code in (401, 403)
        deploy(lab.settings)
        wait_for(lambda: answers(f"{lab.url}/readyz"), 120)
        assert lab.ask().json()["weights"] == "moves/1"
        with Load(lab, lab.video.read_bytes(), clients=2) as load:
            wait_for(lambda: len(load.good) > 5, 60)
            deploy(lab.settings, colour=1)
            wait_for(lambda: state()["status"] == "DEPLOY_FAILED", 60)
            assert "colour" in state()["message"], "an unknown key is named, and the application goes on as it was"
            deploy(lab.settings.model_copy(update={"max_media": 32}))
            wait_for(lambda: state()["status"] == "RUNNING", 120)
            seen = len(load.good)
            wait_for(lambda: len(load.good) > seen + 20, 60)
        assert [shot for shot in load.shots if shot.status != 200] == []


def _refused(url: str) -> bool:
    try:
        httpx.get(url, timeout=5)
    except httpx.HTTPError:
        return True
    return False
