"""The files of infra/ are valid, and the check names each kind of fault in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import validate
from infra.checks import dockerfiles, metrics
from infra.checks.pods import quantity
from infra.checks.tree import Tree, parsed
from tests.policy.files import ROOT

DOCKER, CLUSTER, JOB = "docker/Dockerfile.cpu", "kuberay/raycluster.yaml", "kuberay/rayjob.yaml"
SERVICE, POLICY, SECRETS = "kuberay/rayservice.yaml", "kuberay/networkpolicy.yaml", "kuberay/secrets.yaml"
LAUNCHER, SERVE, COMPOSE = "launcher/cluster.yaml", "serve.yaml", "compose/compose.yaml"
PROMETHEUS, RULES, ENV = "compose/prometheus.yml", "compose/rules.yml", "compose/env.example"
BOARD = "compose/grafana/dashboards/vidmodels.json"
SOURCE = "compose/grafana/provisioning/datasources/prometheus.yaml"
FOLDER = "compose/grafana/provisioning/dashboards/vidmodels.yaml"

# file, what is replaced, by what, words of the fault
BROKEN = [
    # any YAML
    (SERVE, "applications:", "applications: [", "is not YAML"),
    (SERVE, "  port: 8000", "  port: 8000\n  port: 8001", "the key 'port' is there twice"),
    # Dockerfiles
    (DOCKER, "FROM python:3.12.12-slim-bookworm", "FROM python:latest", "line 7: FROM: the base 'python:latest' can change"),
    (DOCKER, "FROM python:3.12.12-slim-bookworm", "FROM python", "FROM: the base 'python' can change"),
    (DOCKER, "USER 1000:1000\n", "", "USER: the image runs as root"),
    (DOCKER, "USER 1000:1000", "USER 1000\nUSER root", "USER: the image runs as root"),
    (DOCKER, "USER 1000:1000", "USER vidmodels", "USER: 'vidmodels' is a name"),
    (DOCKER, "COPY . .", "ADD https://example.com/a.tar /app", "ADD: takes addresses"),
    (DOCKER, "COPY . .", "COPPY . .", "COPPY: is no instruction"),
    (DOCKER, "-c infra/constraints.txt ", "", "pip takes whatever version is new"),
    (DOCKER, ' boto3 "psycopg[binary]"', " boto4", "boto4 has no version in infra/constraints.txt"),
    (DOCKER, "WORKDIR /app", "RUN wget -q https://example.com/x", "downloads a file that nobody has checked"),
    (DOCKER, "ENV HOME", "ENV RAY_AUTH_TOKEN=abc\nENV HOME", "a secret stays in the image"),
    (DOCKER, ', "/spool"]', "]", "VOLUME: /spool is not one"),
    (DOCKER, "HEALTHCHECK ", "LABEL a=", "HEALTHCHECK: is missing"),
    # Serve
    (SERVE, "proxy_location: EveryNode", "proxy_location: EveryNode\nmood: good", "the file.mood: is no key here"),
    (SERVE, "    route_prefix: /", "    route: /", "applications.0.route: is no key here"),
    (SERVE, "  port: 8000", "  prot: 8000", "http_options.prot: is no key here"),
    (SERVE, "  port: 8000", "  port: 9000", "http_options.port: is not 8000"),
    (SERVE, "  port: 8000", "  port: high", "http_options.port: Input should be a valid integer"),
    (SERVE, "EveryNode", "HeadOnly", "proxy_location: is 'HeadOnly'"),
    (SERVE, "services.app:build", "services.app:biuld", "import_path: 'services.app:biuld' cannot be imported"),
    (SERVE, "services.app:build", "services.none:build", "import_path: 'services.none:build' cannot be imported"),
    (SERVE, "decoder:\n        max_r", "decoder:\n        min_max_r", "args.decoder.min_max_replicas: is not a setting"),
    (SERVE, "max_replicas: 2", "max_replicas: 0", "applications.0.args.host.max_replicas"),
    (
        SERVE,
        "request_timeout_s: 150",
        "request_timeout_s: 60",
        "ends requests before the service's own limits.deadline_s of 120 s",
    ),
    # the VM launcher
    (LAUNCHER, "cluster_name: vidmodels\n", "", "'cluster_name' is a required property"),
    (LAUNCHER, "max_workers: 16", "max_workers: 16\nmax_wrokers: 1", "'max_wrokers' was unexpected"),
    (LAUNCHER, "CPU: 16, cpu-decode: 1", "CPU: many", "available_node_types.cpu-decode.resources.CPU: 'many' is not of type"),
    (LAUNCHER, "head_node_type: head", "head_node_type: haed", "head_node_type: 'haed' is not in available_node_types"),
    (LAUNCHER, "  gpu-serve:\n", "  gpu-sevre:\n", "available_node_types.gpu-serve: is missing"),
    (LAUNCHER, "    max_workers: 8", "    max_workers: 80", "min_workers 0, max_workers 80 and the cluster's 16 do not rise"),
    (LAUNCHER, "CPU: 16, cpu-decode: 1", "CPU: 16", "available_node_types.cpu-decode.resources: has no cpu-decode"),
    (LAUNCHER, "{pool: gpu-train}", "{pool: train}", "available_node_types.gpu-train.labels.pool: is not gpu-train"),
    (LAUNCHER, "vidmodels:0.1.0-cpu", "vidmodels", "docker.image: 'vidmodels' has no tag"),
    (
        LAUNCHER,
        "worker_image: vidmodels:0.1.0-cuda",
        "worker_image: vidmodels:0.1.0-cpu",
        "gpu-train: has GPUs and an image without CUDA",
    ),
    (LAUNCHER, "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "the dashboard listens to others"),
    (LAUNCHER, '  "~/.ray/auth_token": "~/.ray/auth_token"', "  {}", "file_mounts: Ray's token does not come"),
    # objects of Kubernetes
    (SECRETS, "kind: Secret", "kind: Sceret", "kind: 'Sceret' is not checked here"),
    (SECRETS, "apiVersion: v1", "apiVersion: v2", "apiVersion: 'v2' is not that of Secret: write v1"),
    (SECRETS, "stringData:", "stringDate:", "Additional properties are not allowed ('stringDate' was unexpected)"),
    (SECRETS, "namespace: vidmodels", "namespace: default", "metadata.namespace: is 'default'"),
    (SECRETS, "name: vidmodels-store", "name: vidmodels-tokens", "there is another Secret 'vidmodels-tokens'"),
    (SECRETS, "auth_token: REPLACE_ME", "auth_token: 5b3c9a", "stringData.auth_token: is a value and not REPLACE_ME"),
    (SECRETS, '{"tokens": []}', '{"tokens": [{"id": "a"}]}', "stringData.tokens.json: is a value"),
    ("kuberay/storage.yaml", "[ReadWriteMany]", "[ReadWriteOnce]", "spec.accessModes: is ['ReadWriteOnce']"),
    (POLICY, "  podSelector: {}\n", "  podSelector: {matchLabels: {a: b}}\n", "no policy denies everything by default"),
    (POLICY, "port: 8000", "port: 10001", "10001 is open to others"),
    (POLICY, "kuberay-operator", "somebody", "8265 is open to others"),
    (POLICY, "          port: 8000\n", "          port: 8000\n          endPort: 9000\n", "8000 is open to others"),
    (
        POLICY,
        "      ports:\n        - protocol: TCP\n          port: 8000\n---",
        "---",
        "spec.ingress.0.ports: all are open, Ray's too",
    ),
    (
        POLICY,
        "policyTypes: [Egress]\n  egress:",
        "policyTypes: [Egress]\n  egress:\n    - {}",
        "spec.egress.0.to: is open to everything",
    ),
    (
        POLICY,
        "podSelector:\n            matchLabels:",
        "podSelektor:\n            matchLabels:",
        "'podSelektor' was unexpected",
    ),
    # Ray on Kubernetes
    (
        CLUSTER,
        "apiVersion: ray.io/v1",
        "apiVersion: ray.io/v1alpha1",
        "apiVersion: 'ray.io/v1alpha1' is not that of RayCluster",
    ),
    (
        CLUSTER,
        'rayVersion: "2.60.0"',
        'rayVersion: "2.59.0"',
        "spec.rayVersion: is '2.59.0' and infra/constraints.txt has 2.60.0",
    ),
    (CLUSTER, "rayVersion:", "rayVresion:", "spec.rayVresion: is no key here"),
    (CLUSTER, "mode: token", "mode: disabled", "spec.authOptions.mode: is 'disabled'"),
    (CLUSTER, "vidmodels-ray-token", "vidmodels-token", "there is no Secret 'vidmodels-token' with the key auth_token"),
    (CLUSTER, "enableInTreeAutoscaling: true", "enableInTreeAutoscaling: false", "spec.enableInTreeAutoscaling: is off"),
    (
        CLUSTER,
        "  headGroupSpec:",
        "  headGroupSpec:\n    serviceType: LoadBalancer",
        "spec.headGroupSpec: the head's ports are open",
    ),
    (CLUSTER, 'num-cpus: "0"', 'num-cpus: "4"', "spec.headGroupSpec.rayStartParams.num-cpus: work would run beside"),
    (CLUSTER, "groupName: gpu-serve", "groupName: gpu-train", "groupName: 'gpu-train' is there twice"),
    (CLUSTER, "groupName: gpu-serve", "groupName: serve", "spec.workerGroupSpecs: there is no group gpu-serve"),
    (CLUSTER, "minReplicas: 0", "minReplicas: 9", "minReplicas, replicas, maxReplicas are [9, 0, 8]"),
    (CLUSTER, 'cpu-decode: "1"', 'decode: "1"', "workerGroupSpecs.0.resources: has no cpu-decode"),
    (CLUSTER, "pool: cpu-decode", "pool: decode", "workerGroupSpecs.0.labels.pool: is 'decode'"),
    (
        CLUSTER,
        "image: vidmodels:0.1.0-cuda",
        "image: vidmodels:0.1.0-cpu",
        "workerGroupSpecs.1.template.spec.containers.0: image and GPUs",
    ),
    (CLUSTER, "image: vidmodels:0.1.0-cpu", "image: vidmodels:0.0.9-cpu", "'0.0.9-cpu' is not of version 0.1.0"),
    (CLUSTER, "image: vidmodels:0.1.0-cpu", "image: vidmodels:0.1.0-tpu", "there is no infra/docker/Dockerfile.tpu"),
    (CLUSTER, "image: vidmodels:0.1.0-cpu", "image: vidmodels:latest", "the tag 'latest' moves"),
    (
        CLUSTER,
        'requests: {cpu: "2", memory: 8Gi}',
        'requests: {cpu: "2", memory: 9Gi}',
        "requests.memory: 9Gi is above the limit 8Gi",
    ),
    (CLUSTER, 'requests: {cpu: "2", memory: 8Gi}', 'requests: {cpu: "2"}', "requests.memory: is missing"),
    (CLUSTER, "runAsNonRoot: true", "runAsNonRoot: false", "securityContext.runAsNonRoot: is False: write true"),
    (
        CLUSTER,
        "readOnlyRootFilesystem: true",
        "readOnlyRootFilesystem: false",
        "securityContext.readOnlyRootFilesystem: is False",
    ),
    (CLUSTER, "drop: [ALL]", "drop: [NET_RAW]", "securityContext.capabilities.drop: is ['NET_RAW']"),
    (CLUSTER, "type: RuntimeDefault", "type: Unconfined", "securityContext.seccompProfile.type: is 'Unconfined'"),
    (CLUSTER, "emptyDir: {sizeLimit: 20Gi}", "emptyDir: {}", "emptyDir: may fill the node's disk"),
    (CLUSTER, "emptyDir: {sizeLimit: 20Gi}", "hostPath: {path: /tmp}", "hostPath opens the machine's files"),
    (CLUSTER, "{name: home, mountPath", "{name: hoem, mountPath", "there is no volume 'hoem'"),
    (CLUSTER, "{name: tmp, mountPath: /tmp}\n              - {name: shm", "{name: shm", "volumeMounts: /tmp is read-only"),
    (CLUSTER, "claimName: vidmodels-runs", "claimName: runs", "there is no PersistentVolumeClaim 'runs'"),
    (CLUSTER, "name: vidmodels-settings", "name: settings", "there is no ConfigMap 'settings'"),
    (CLUSTER, "name: vidmodels-store", "name: store", "there is no Secret 'store'"),
    (
        CLUSTER,
        "{name: VIDMODELS_HOME, value: /runs}",
        "{name: RAY_AUTH_TOKEN, value: abc}",
        "RAY_AUTH_TOKEN is a secret in plain sight",
    ),
    (CLUSTER, "imagePullPolicy: IfNotPresent", "imagePullPolice: IfNotPresent", "'imagePullPolice' was unexpected"),
    (
        CLUSTER,
        "app.kubernetes.io/part-of: vidmodels\n      spec:",
        "app: x\n      spec:",
        "metadata.labels: lacks app.kubernetes.io/part-of",
    ),
    (
        JOB,
        "pipelines/pretrain_mae.py",
        "pipelines/pretrain.py",
        "'python pipelines/pretrain.py' is no program of this repository",
    ),
    (JOB, "--run.num-workers", "--run.workers", "--run.workers is no setting of a recipe"),
    (JOB, "--run.num-workers 2", "--run.num-workers 8", "the workers ask for 8 GPUs and gpu-train has 2 at most"),
    (JOB, "pool=cpu-decode", "pool=decode", "no group has the label pool=decode"),
    (JOB, "submitterPodTemplate:", "submitterPod:", "spec.submitterPodTemplate: is missing"),
    (JOB, "rayClusterSpec:", "rayCluster:", "spec.rayClusterSpec: is missing"),
    (SERVICE, "        args:", "        arguments:", "spec.serveConfigV2.applications.0.arguments: is no key here"),
    (SERVICE, "    applications:", "    applications: [", "spec.serveConfigV2: is not YAML"),
    (SERVICE, "gateways: 2", "gateway: 2", "spec.serveConfigV2.applications.0.args.gateway: is not a setting"),
    (SERVICE, "cpu-decode: 1\n", "decode: 1\n", "args.decoder.resources.decode: no group has it"),
    (SERVICE, "cpus: 7", "cpus: 70", "args.decoder: a replica asks for 70 CPU and a node of cpu-decode has 8"),
    (SERVICE, "gpus: 0.5", "gpus: 2", "args.host: a replica asks for 2 GPU and a node of gpu-serve has 1"),
    (SERVICE, "secretName: vidmodels-tokens", "secretName: tokens", "there is no Secret 'tokens'"),
    # Compose
    (COMPOSE, "postgres:17.6-bookworm", "postgres", "services.postgres.image: 'postgres' has no tag"),
    (COMPOSE, "prom/prometheus:v3.5.0", "prom/prometheus:latest", "services.prometheus.image: the tag 'latest' moves"),
    (COMPOSE, "${GATEWAY_ADDRESS:-127.0.0.1}:8000", "0.0.0.0:8000", "'0.0.0.0:8000:8000' is published"),
    (COMPOSE, ":8000:8000", ":8265:8265", "services.head.ports: '${GATEWAY_ADDRESS:-127.0.0.1}:8265:8265' is published"),
    (COMPOSE, "network_mode: service:head", "network_mode: host", "services.deploy.network_mode: 'host' opens"),
    (COMPOSE, "postgres: {condition", "postgers: {condition", "services.mlflow.depends_on: there is no service 'postgers'"),
    (COMPOSE, "read_only: true\n  user", "read_only: false\n  user", "services.head.read_only: is False"),
    (COMPOSE, 'user: "1000:1000"', 'user: "0"', "services.head.user: is '0'"),
    (COMPOSE, "cap_drop: [ALL]", "cap_drop: []", "services.store.cap_drop: is []"),
    (COMPOSE, "no-new-privileges:true", "label:disable", "services.store.security_opt: lacks no-new-privileges"),
    (COMPOSE, "/tmp:size=8g,mode=1777", "/tmp", "services.head.tmpfs: has no /tmp with a size"),
    (
        COMPOSE,
        "${GRAFANA_PASSWORD:?copy env.example to .env and fill it in}",
        "admin",
        "GF_SECURITY_ADMIN_PASSWORD: is written here",
    ),
    (
        COMPOSE,
        "mlflow:${POSTGRES_PASSWORD:?copy env.example to .env and fill it in}@",
        "mlflow:x@",
        "has a password in its address",
    ),
    (
        COMPOSE,
        "${GRAFANA_PASSWORD:?copy env.example to .env and fill it in}",
        "${GRAFANA_PASSWORD}",
        "${GRAFANA_PASSWORD}: becomes empty",
    ),
    (COMPOSE, "./rules.yml:", "./rule.yml:", "services.prometheus.volumes: there is no ./rule.yml"),
    (COMPOSE, "objects:/data", "object:/data", "services.store.volumes: 'object' is not among the volumes"),
    (COMPOSE, "      edge: {}\n    ports", "      egde: {}\n    ports", "services.head.networks: there is no 'egde'"),
    (COMPOSE, "infra/docker/Dockerfile.cpu", "infra/Dockerfile.cpu", "build.dockerfile: there is no infra/Dockerfile.cpu"),
    (COMPOSE, "shm_size: 2gb", "shm: 2gb", "services.head.shm: is no key here"),
    (COMPOSE, "RAY_AUTH_MODE: token", "RAY_AUTH_MODE: disabled", "services.head.environment.RAY_AUTH_MODE: is 'disabled'"),
    (
        COMPOSE,
        "--dashboard-host=127.0.0.1",
        "--dashboard-host=0.0.0.0",
        "services.head.command: the dashboard listens to others",
    ),
    (COMPOSE, '{"cpu-decode": 1}', "{cpu-decode: 1}", "services.worker.command: --resources={cpu-decode: 1} is not JSON"),
    (ENV, "POSTGRES_PASSWORD=", "POSTGRES_PASSWORD=secret", "POSTGRES_PASSWORD: has a value"),
    (ENV, "METRICS_TOKEN=", "METRIC_TOKEN=", "METRICS_TOKEN: is missing"),
    (ENV, "METRICS_TOKEN=", "METRICS_TOKEN=\nOTHER=", "OTHER: compose.yaml does not use it"),
    # Prometheus and Grafana
    (PROMETHEUS, "head:8000", "gateway:8000", "'gateway' is no service of compose.yaml"),
    (PROMETHEUS, "names: [worker]", "names: [workers]", "'workers' is no service of compose.yaml"),
    (PROMETHEUS, "    authorization:\n      credentials_file: /run/secrets/metrics_token\n", "", "the gateway wants a token"),
    (PROMETHEUS, "/run/secrets/metrics_token", "/run/secrets/token", "the service prometheus has no secret 'token'"),
    (PROMETHEUS, "credentials_file: /run/secrets/metrics_token", "credentials: abc", "a secret stands here"),
    (PROMETHEUS, "job_name: prometheus", "job_name: ray", "job_name: 'ray' is there twice"),
    (PROMETHEUS, "rules.yml", "alerts.yml", "rule_files: there is no alerts.yml"),
    (
        PROMETHEUS,
        'static_configs:\n      - targets: ["127',
        'static:\n      - targets: ["127',
        "scrape_configs.2.static: is no key here",
    ),
    (RULES, "vidmodels_requests_total[5m]", "vidmodels_request_total[5m]", "there is no metric 'vidmodels_request_total'"),
    (RULES, "ray_node_mem_total", "ray_node_memory_total", "there is no metric 'ray_node_memory_total'"),
    (RULES, '{status=~"500', '{code=~"500', "vidmodels_requests_total has no label 'code': one of route, status"),
    (RULES, "by (le, route)", "by (le, model)", "vidmodels_request_seconds_bucket has no label 'model'"),
    (RULES, 'job="gateway"', 'job="gate"', "there is no job 'gate' in prometheus.yml"),
    (RULES, "for: 1m", "for: soon", "for: 'soon' is no duration"),
    (RULES, "alert: RequestsFail", "alert: GatewayDown", "alert: 'GatewayDown' is missing or there twice"),
    (RULES, "[10m]))) > 60", "[10m])) > 60", "brackets do not match"),
    (BOARD, "vidmodels_requests_ongoing", "vidmodels_requests_now", "there is no metric 'vidmodels_requests_now'"),
    (BOARD, '"uid": "prometheus"', '"uid": "prom"', "datasource.uid: there is no source 'prom'"),
    (BOARD, '"id": 3,', '"id": 2,', "id: 2 is there twice"),
    (BOARD, '"w": 8', '"w": 20', "gridPos: does not fit into 24 columns"),
    (BOARD, '"title": "vidmodels",', '"title": "vidmodels"', "the file: is not JSON"),
    (SOURCE, "http://prometheus:9090", "http://prom:9090", "datasources.0.url: 'prom' is no service"),
    (FOLDER, "/etc/grafana/dashboards", "/etc/dashboards", "options.path: '/etc/dashboards' is not mounted"),
]


@pytest.fixture
def copied(tmp_path):
    folder = tmp_path / "infra"
    shutil.copytree(ROOT / "infra", folder, ignore=shutil.ignore_patterns("__pycache__", "*.py", ".env"))
    return folder


def test_the_files_are_valid(capsys):
    assert validate.main() == 0
    assert capsys.readouterr().out == f"{len(Tree(ROOT / 'infra', ROOT).names())} files valid\n"


def test_it_runs_as_a_program_from_anywhere(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "infra" / "validate.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.split()[-2:]) == (0, ["files", "valid"]), done.stdout + done.stderr


@pytest.mark.parametrize(("name", "old", "new", "words"), BROKEN, ids=[f"{case[0]}-{case[3][:40]}" for case in BROKEN])
def test_a_fault_is_named(copied, name, old, new, words):
    path = copied / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    faults = validate.faults_of(Tree(copied, ROOT), name)
    assert any(words in fault for fault in faults), faults
    assert all(fault.startswith(f"infra/{name}: ") and "\n" not in fault for fault in faults)


@pytest.mark.parametrize(
    "text", ["", "a", "[1, 2]", "services: [a]\ngroups: 1\nspec: a", "kind: RayCluster\napiVersion: ray.io/v1"]
)
@pytest.mark.parametrize("name", [CLUSTER, LAUNCHER, SERVE, COMPOSE, PROMETHEUS, RULES, SOURCE, FOLDER, BOARD, DOCKER])
def test_a_file_of_another_form_is_one_line_not_a_traceback(copied, name, text):
    (copied / name).write_text(text)
    faults = validate.faults_of(Tree(copied, ROOT), name)
    assert faults
    assert all(fault.startswith(f"infra/{name}: ") for fault in faults)


def test_every_check_is_shown_to_find_something():
    shown = {case[0] for case in BROKEN}
    assert {pattern for pattern in validate.CHECKS if not any(Path(name).match(pattern) for name in shown)} == set()


def test_faults_are_counted_and_files_must_be_there(copied, capsys):
    (copied / SERVE).unlink()
    (copied / "extra.toml").write_text("")
    (copied / CLUSTER).write_text((copied / CLUSTER).read_text().replace("mode: token", "mode: disabled"))
    assert validate.main(copied) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "infra/serve.yaml: there is no such file: restore it"
    assert "infra/extra.toml: no check knows this file: move it, or add a check to infra/validate.py" in said
    assert said[-1].endswith(f"faults in {len(Tree(copied, ROOT).names())} files")


def test_a_users_own_secrets_are_not_read(copied):
    (copied / "compose" / ".env").write_text("RAY_AUTH_TOKEN=abc")
    assert "compose/.env" not in Tree(copied, ROOT).names()


def test_a_change_of_the_pinned_ray_is_found(copied):
    path = copied / "constraints.txt"
    path.write_text(path.read_text().replace("ray==2.60.0", "ray==2.61.0"))
    for name in (CLUSTER, JOB, SERVICE):
        assert any("infra/constraints.txt has 2.61.0" in fault for fault in validate.faults_of(Tree(copied, ROOT), name))


def test_rays_autoscaler_reads_the_groups():
    """Ray's own reader of a RayCluster finds the resources and labels that settings refer to."""
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    cluster = Tree(ROOT / "infra", ROOT).document(CLUSTER)
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    assert {name: kind["labels"] for name, kind in types.items() if name != "headgroup"} == {
        name: {"pool": name} for name in ("cpu-decode", "gpu-train", "gpu-serve")
    }
    assert types["cpu-decode"]["resources"] == {"CPU": 8, "memory": 32 * 2**30, "cpu-decode": 1}
    assert types["gpu-serve"]["resources"] == {"CPU": 8, "GPU": 1, "memory": 64 * 2**30, "gpu-serve": 1}
    assert (types["gpu-train"]["min_workers"], types["gpu-train"]["max_workers"]) == (0, 4)


def test_rays_launcher_fills_in_the_rest():
    """Ray's own reader of the launcher's YAML takes the file, without a cloud."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = Tree(ROOT / "infra", ROOT).document(LAUNCHER)
    filled = prepare_config(config)
    validate_config(filled)
    assert filled["head_start_ray_commands"][0] == "ray stop"
    assert filled["available_node_types"]["gpu-train"]["max_workers"] == 4


def test_metrics_are_read_from_the_code():
    found = metrics.of_code(ROOT)
    assert found["vidmodels_requests_total"] == {"route", "status"}
    assert found["vidmodels_request_seconds_bucket"] == {"route"}
    assert "vidmodels_request_seconds" not in found
    assert len(metrics.of_ray()) > 50


def test_metrics_of_a_query():
    query = (
        'sum by (le, route) (rate(a_bucket{route=~"/v1/.+", x!="y}"}[5m])) / on(z) group_left() b offset 5m > 0.5 and up == 1'
    )
    assert metrics.selected(query) == [
        ("a_bucket", {"le", "route", "z", "x"}), ("b", {"le", "route", "z"}), ("up", {"le", "route", "z"}),
    ]  # fmt: skip


def test_instructions_of_a_dockerfile():
    text = "# a\nFROM x:1\n\nRUN a \\\n    # why\n    && b\nUSER 5\n"
    assert dockerfiles.instructions(text) == [(2, "FROM", "x:1"), (4, "RUN", "a && b"), (7, "USER", "5")]


@pytest.mark.parametrize(("text", "number"), [("500m", 0.5), ("2", 2), (3, 3), ("8Gi", 8 * 2**30), ("1.5G", 1.5e9)])
def test_quantities(text, number):
    assert quantity(text) == number


@pytest.mark.parametrize("text", ["8gb", "", "-1", "Gi", None])
def test_other_words_are_no_quantities(text):
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)


def test_merged_keys_are_not_doubled_keys():
    assert parsed("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: *a}") == (
        {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2}},
    )
