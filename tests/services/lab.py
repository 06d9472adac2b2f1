"""A real service of this process's Ray for tests and measurements: models from a registry, HTTP, the processes behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from pipelines.common import commands
from services.replicas import prepare_environment
from services.settings import ServiceSettings
from services.tokens import TokenFile
from tests.data.videos import write
from tests.pipelines.programs import QUICK
from tests.pipelines.stores import free_port, new_store, wait_for
from vidmodels import zoo

ROOT = Path(__file__).parents[2]
CLASSES = ["left", "right", "up", "down"]


class Lab:
    """The service as its users meet it; `model` is the zoo's name of what is registered as `moves`.

    settings: those of the service that differ from the lab's. Ray runs before `start`; `stop` leaves it.
    """

    def __init__(self, folder: Path, model: str = "c2d_tiny", **settings: Any) -> None:
        self.folder, self.model = folder, model
        self.store, self.port = new_store(folder), free_port()
        self.spool = folder / "spool"
        self.settings = ServiceSettings.model_validate(
            {
                "models": [{"source": "models:/moves@live"}],
                "registry": self.store,
                "poll_s": 0.3,
                "tokens": str(folder / "tokens.json"),
                "spool": str(self.spool),
                "spool_free_mb": 1,
                **settings,
            }
        )
        self.video = write(folder / "clip.mp4", count=24, fps=12, size=(48, 64))
        self.token, _ = TokenFile(folder / "tokens.json").create("tests", per_minute=1_000_000, concurrent=1000)
        self.register(seed=0)

    def start(self) -> None:
        """Deploy, and wait until the first model answers."""
        from ray import serve

        from services.app import APP, build, http_options

        serve.start(http_options=http_options(self.settings, "127.0.0.1", self.port))
        serve.run(build(self.settings), name=APP, route_prefix="/")
        wait_for(lambda: self.get("/readyz").status_code == 200, 300)

    def stop(self) -> None:
        from ray import serve

        serve.shutdown()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=self.headers, timeout=60)

    def ask(self, task: str = "classify", video: Path | None = None, **fields: str) -> httpx.Response:
        with open(video or self.video, "rb") as stream:
            return httpx.post(
                f"{self.url}/v1/{task}", headers=self.headers, timeout=60,
                data={"model": "moves", **fields}, files={"video": ("clip.mp4", stream, "video/mp4")},
            )  # fmt: skip

    def weights(self, seed: int) -> Path:
        """The file of weights that `register` made."""
        return self.folder / f"weights-{seed}.safetensors"

    def register(self, seed: int) -> None:
        """A new version of `moves`, with weights of its own, which gets the alias `live`."""
        import torch

        torch.manual_seed(seed)
        model = zoo.create_model(self.model, num_classes=len(CLASSES))
        zoo.save_weights(model, self.weights(seed), {"classes": CLASSES})
        words = ["--model", self.model, "--as", "moves", "--alias", "live", "--tracking-uri", self.store]
        assert commands.register([str(self.weights(seed)), *words]) == 0

    def fine_tune(self, classes: Path) -> None:
        """The same by the program of the users, which trains, registers and moves the alias; classes: folders of videos."""
        words = [
            sys.executable, "pipelines/train_classifier.py", self.model, "--init", str(self.weights(0)), "--data.path",
            str(classes), "--data.val-fraction", "0.4", *QUICK, "--run.pictures", "False", "--run.register-as", "moves",
            "--run.alias", "live",
        ]  # fmt: skip
        environment = {**os.environ, "MLFLOW_TRACKING_URI": self.store, "VIDMODELS_HOME": str(self.folder / "runs")}
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


def replicas(part: str) -> list[int]:
    """Process ids of the replicas of this process's Ray whose name holds the part, such as ":decoder"."""
    cluster = f"--gcs-address={_gcs()}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            title = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if title.startswith(b"ray::ServeReplica:") and part.encode() in title:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if cluster in Path(f"/proc/{parent}/cmdline").read_bytes().replace(b"\0", b" ").replace(b"_", b"-"):
                    found.append(int(entry.name))
        except OSError:  # it has ended meanwhile
            continue
    return sorted(found)


def _gcs() -> str:
    import ray

    return ray.get_runtime_context().gcs_address


def pss(pid: int) -> float:
    """Megabytes of a process; memory that n processes share counts as its nth part."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    raise AssertionError


def start_ray(cores: int = 8) -> None:
    """A local Ray for measurements, with the environment of one that serves."""
    import ray

    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    prepare_environment()
    ray.init(
        address="local", num_cpus=cores, object_store_memory=1_000_000_000, include_dashboard=False, log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
