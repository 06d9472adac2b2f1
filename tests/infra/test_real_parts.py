"""Parts of the platform as they are configured in infra/, run for real where their programs are: no container, no network."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

import pytest
import yaml

from infra.checks.tree import Tree
from tests.infra.parts import KEYS, filled, module, object_store, postgres, program, running, service, status
from tests.pipelines.programs import QUICK
from tests.pipelines.stores import free_port, wait_for
from tests.policy.files import ROOT

COMPOSE = ROOT / "infra" / "compose"


@pytest.mark.slow
def test_a_run_in_an_object_store_with_mlflow_on_postgresql(tmp_path, monkeypatch):
    """The commands and variables of compose.yaml, on addresses of this machine: buckets, MLflow's server, a run, its model."""
    module("psycopg")
    module("boto3")
    port = free_port()
    values = {
        "POSTGRES_PASSWORD": "p4ss",
        "S3_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
        "S3_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
    }
    with object_store(tmp_path / "store.log") as store, postgres(values["POSTGRES_PASSWORD"]) as database:
        places = {"postgres:5432": database, "http://store:8333": store, ":5000": f":{port}"}
        own = {"HOME": str(tmp_path), "OMP_NUM_THREADS": "1", "GIT_PYTHON_REFRESH": "quiet"}
        ours = {**os.environ, **own, **KEYS, "AWS_ENDPOINT_URL": store, "VIDMODELS_HOME": str(tmp_path / "home")}
        made = subprocess.run([sys.executable, *service("buckets")["command"][1:]], env=ours, capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
        environment = {key: filled(value, values, places) for key, value in service("mlflow")["environment"].items()}
        words = [{"0.0.0.0": "127.0.0.1", "5000": str(port)}.get(word, word) for word in service("mlflow")["command"][1:]]
        address = f"http://127.0.0.1:{port}"
        with running(
            [sys.executable, "-m", "mlflow", *words], f"{address}/health", tmp_path / "mlflow.log", {**environment, **own}
        ):
            assert status(f"{address}/health", {"Host": f"mlflow:{port}"}) == 200
            find = f"{address}/api/2.0/mlflow/registered-models/search"
            assert status(find, {"Host": f"mlflow:{port}"}) == 200
            assert status(find, {"Host": "elsewhere.example"}) == 403
            command = ["pipelines/pretrain_mae.py", *QUICK, "--run.storage", "s3://runs/team", "--run.name", "small"]
            command += ["--run.pictures", "False", "--run.tracking-uri", address]
            done = subprocess.run([sys.executable, *command], env=ours, cwd=ROOT, capture_output=True, text=True, timeout=400)
            assert done.returncode == 0, done.stdout + done.stderr

            for key in ("AWS_ENDPOINT_URL", "HOME", *KEYS):
                monkeypatch.setenv(key, ours[key])
            assert _rows(database, values["POSTGRES_PASSWORD"]) == (1, 1)
            assert {"small/finished.json", "small/model/model.safetensors", "small/metrics.csv"} <= _objects(
                "runs", "runs/team/"
            )
            assert any(name.endswith("/artifacts/model.safetensors") for name in _objects("mlflow", "mlflow/"))
            from pipelines.common.resolvers import resolve

            model = resolve("models:/mae_st_vit_tiny_pretrain@latest", address)
            assert (model.version, model.path.stat().st_size > 1e6) == ("1", True)


def _rows(database: str, password: str) -> tuple[int, int]:
    """Runs and versions of models in the database."""
    import psycopg

    host, port = database.split(":")
    with psycopg.connect(host=host, port=port, user="mlflow", password=password, dbname="mlflow") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM model_versions)")
        return cursor.fetchone()


def _objects(bucket: str, below: str) -> set[str]:
    from pyarrow import fs

    store, path = fs.FileSystem.from_uri(f"s3://{bucket}")
    return {
        each.path.removeprefix(below) for each in store.get_file_info(fs.FileSelector(path, recursive=True)) if each.is_file
    }


@pytest.mark.slow
def test_promtool_takes_configuration_and_rules(tmp_path):
    promtool = program("promtool", "prometheus")
    tests = tmp_path / "alerts.yml"
    tests.write_text((ROOT / "tests" / "infra" / "alerts.yml").read_text().replace("RULES", str(COMPOSE / "rules.yml")))
    for words in (
        ("check", "config", "--syntax-only", str(COMPOSE / "prometheus.yml")),
        ("check", "rules", str(COMPOSE / "rules.yml")),
        ("test", "rules", str(tests)),
    ):
        done = subprocess.run([promtool, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"promtool {' '.join(words)}: {done.stdout}{done.stderr}"


@pytest.mark.slow
def test_prometheus_reads_the_gateway_and_answers_the_dashboard(tmp_path):
    """A gateway and Prometheus with our configuration: its token is taken, rules and queries of the dashboard are accepted."""
    prometheus = program("prometheus", "prometheus")
    port, asked = free_port(), free_port()
    with gateway(tmp_path, port) as token:
        (tmp_path / "metrics_token").write_text(token)
        text = (COMPOSE / "prometheus.yml").read_text().replace("15s", "1s").replace("/run/secrets/", f"{tmp_path}/")
        text = text.replace("head:8000", f"127.0.0.1:{port}").replace("127.0.0.1:9090", f"127.0.0.1:{asked}")
        config = yaml.safe_load(text)
        config["scrape_configs"] = [each for each in config["scrape_configs"] if each["job_name"] != "ray"]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        (tmp_path / "rules.yml").write_text((COMPOSE / "rules.yml").read_text())
        command = [prometheus, f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{asked}"]
        with running(command, f"http://127.0.0.1:{asked}/-/ready", tmp_path / "prometheus.log"):

            def query(expression: str) -> list[dict]:
                return get(f"http://127.0.0.1:{asked}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["result"]

            wait_for(lambda: bool(query('vidmodels_requests_total{job="gateway", status="200"}')), 60)
            assert [each["value"][1] for each in query('up{job="gateway"}')] == ["1"]
            wait_for(lambda: "unknown" not in {rule["health"] for rule in rules(asked)}, 60)
            assert {rule["health"] for rule in rules(asked)} == {"ok"}
            board = json.loads(Tree(ROOT / "infra", ROOT).text("compose/grafana/dashboards/vidmodels.json"))
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    query(target["expr"].replace("$__rate_interval", "1m"))  # an expression that is none is an error
            assert query("sum(vidmodels_requests_ongoing)")


def get(address: str) -> dict:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return json.loads(answer.read())["data"]


def rules(port: int) -> list[dict]:
    return [rule for group in get(f"http://127.0.0.1:{port}/api/v1/rules")["groups"] for rule in group["rules"]]


class gateway:
    """The real gateway over a backend without models, at a port of this machine; its value is a token."""

    def __init__(self, folder, port: int) -> None:
        import uvicorn

        from services.gateway.app import make_app
        from services.settings import ServiceSettings
        from services.tokens import TokenFile
        from tests.services.fake import FakeBackend

        tokens = TokenFile(folder / "tokens.json")
        self.token, _ = tokens.create("prometheus")
        app = make_app(FakeBackend(), ServiceSettings(spool=str(folder / "spool")), tokens)
        self._server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="error"))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve()))
        self._address = f"http://127.0.0.1:{port}"

    def __enter__(self) -> str:
        self._thread.start()
        wait_for(lambda: status(f"{self._address}/healthz") == 200, 60)
        return self.token

    def __exit__(self, *_) -> None:
        self._server.should_exit = True
        self._thread.join(30)
