"""The whole service on Ray Serve: real models from a registry, real videos over HTTP, updates while requests come."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from pipelines.common import commands
from pipelines.common.resolvers import resolve
from services.settings import ServiceSettings
from services.tokens import TokenFile
from tests.data.videos import write
from tests.pipelines.stores import free_port, new_store, wait_for
from vidmodels import zoo

pytestmark = pytest.mark.ray

CLASSES = ["left", "right", "up", "down"]


@pytest.fixture(scope="module")
def service(ray_cluster, tmp_path_factory):
    """A running service with one tiny model, registered as `moves`."""
    from ray import serve

    from services.app import build

    folder = tmp_path_factory.mktemp("service")
    store = new_store(folder)
    made = Running(folder, store, free_port())
    made.register(seed=0)
    settings = ServiceSettings.model_validate(
        {
            "models": [{"source": "models:/moves@live"}],
            "registry": store,
            "poll_s": 0.3,
            "tokens": str(folder / "tokens.json"),
            "spool": str(folder / "spool"),
            "spool_free_mb": 1,
            "limits": {"deadline_s": 60, "seconds": 30},
            "host": {"cpus": 0.5},
            "decoder": {"cpus": 0.5},
        }
    )
    made.token, _ = TokenFile(folder / "tokens.json").create("tests", per_minute=100_000, concurrent=1000)
    serve.start(http_options={"host": "127.0.0.1", "port": made.port})
    serve.run(build(settings), name="gateway", route_prefix="/")
    wait_for(lambda: made.get("/readyz").status_code == 200, 300)
    yield made
    serve.shutdown()


class Running:
    """The service of these tests, as its users meet it."""

    def __init__(self, folder: Path, store: str, port: int) -> None:
        self.folder, self.store, self.port, self.token = folder, store, port, ""
        self.video = folder / "clip.mp4"
        write(self.video, count=24, fps=12, size=(48, 64))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=self.headers, timeout=60)

    def ask(self, task: str = "classify", video: Path | None = None, **fields: str) -> httpx.Response:
        with open(video or self.video, "rb") as stream:
            return httpx.post(
                f"http://127.0.0.1:{self.port}/v1/{task}", headers=self.headers, timeout=60,
                data={"model": "moves", **fields}, files={"video": ("clip.mp4", stream, "video/mp4")},
            )  # fmt: skip

    def register(self, seed: int) -> None:
        """A new version of `moves`, with weights of its own, which gets the alias `live`."""
        import torch

        torch.manual_seed(seed)
        model = zoo.create_model("c2d_tiny", num_classes=len(CLASSES))
        path = self.folder / f"weights-{seed}.safetensors"
        zoo.save_weights(model, path, {"classes": CLASSES})
        words = ["--model", "c2d_tiny", "--as", "moves", "--alias", "live", "--tracking-uri", self.store]
        assert commands.register([str(path), *words]) == 0


def test_an_answer_is_that_of_the_predictor(service):
    from vidmodels import Predictor

    response = service.ask(num_clips="3")
    assert response.status_code == 200, response.text
    body = response.json()
    expected = Predictor(str(service.folder / "weights-0.safetensors")).predict(str(service.video), num_clips=3)
    assert body["scores"] == pytest.approx(expected.scores.tolist(), abs=1e-5)
    assert body["classes"] == CLASSES
    assert [window["start"] for window in body["windows"]] == pytest.approx([w.start for w in expected.windows])
    assert response.headers["x-model-version"] == body["weights"] == "moves/1"
    assert (body["video"], body["width"], body["height"]) == ("clip.mp4", 64, 48)
    assert response.headers.get_list("x-request-id")[0]
    assert len(response.headers.get_list("x-request-id")) == 1


def test_features_and_explanations_answer_too(service):
    from vidmodels import Predictor

    found = service.ask("features").json()["embeddings"]
    expected = Predictor(str(service.folder / "weights-0.safetensors")).features(str(service.video))
    assert len(found) == len(expected)
    assert found[0]["vector"] == pytest.approx(expected[0].vector.tolist(), abs=1e-5)
    explained = service.ask("explain", windows="1", frames="2", target="up").json()
    assert explained["method"] == "grad-cam"
    (window,) = explained["windows"]
    assert (window["class"], len(window["frames"])) == ("up", 2)
    assert all(frame["heat"].startswith("data:image/jpeg;base64,") for frame in window["frames"])
    wrong = service.ask("explain", target="upp")
    assert wrong.status_code == 422
    assert "did you mean 'up'" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"hello", "media_unreadable", "clip.mp4 is text"),
        (b"ffconcat version 1.0\nfile secret.mp4\n", "media_unreadable", "playlist"),
        (b"#EXTM3U\n#EXTINF:1,\nsecret.mp4\n", "media_unreadable", "playlist"),
        (bytes(2000), "media_unreadable", "clip.mp4"),
    ],
)
def test_what_is_no_video_is_refused_by_its_name(service, tmp_path, content, code, words):
    (tmp_path / "x").write_bytes(content)
    response = service.ask(video=tmp_path / "x")
    assert response.status_code == 422
    error = response.json()["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert str(service.folder) not in error["message"]


def test_a_video_over_the_limit_is_refused_before_it_is_decoded(service, tmp_path):
    write(tmp_path / "long.mp4", count=40, fps=1, size=(32, 32))
    error = service.ask(video=tmp_path / "long.mp4").json()["error"]
    assert error["code"] == "media_limit"
    assert "the limit is 30" in error["message"]


def test_updates_lose_no_request_and_a_version_that_does_not_load_gets_none(service):
    load = Load(service)
    with load:
        service.register(seed=1)
        wait_for(lambda: "moves/2" in load.versions, 300)
        service.register(seed=2)
        resolve("models:/moves@live", service.store).path.write_bytes(b"no weights")
        wait_for(lambda: service.get("/v1/models").json()["failures"], 300)
        service.register(seed=3)
        wait_for(lambda: load.versions[-1] == "moves/4", 300)
    assert load.failures == []
    assert "moves/3" not in load.versions
    order = [version for number, version in enumerate(load.versions) if version not in load.versions[:number]]
    assert order == ["moves/1", "moves/2", "moves/4"]


def test_everything_spooled_is_gone(service):
    wait_for(lambda: not list((service.folder / "spool").iterdir()), 10)


class Load:
    """Requests one after the other in a thread, while the body of the `with` does something."""

    def __init__(self, service: Running) -> None:
        self.service, self.versions, self.failures = service, [], []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._go()))

    def __enter__(self) -> Load:
        self._thread.start()
        wait_for(lambda: bool(self.versions), 60)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    async def _go(self) -> None:
        url = f"http://127.0.0.1:{self.service.port}/v1/classify?model=moves&num_clips=1"
        headers = {**self.service.headers, "content-type": "video/mp4"}
        content = self.service.video.read_bytes()
        async with httpx.AsyncClient(timeout=60, headers=headers) as client:
            while not self._stop.is_set():
                response = await client.post(url, content=content)
                if response.status_code == 200:
                    self.versions.append(response.headers["x-model-version"])
                else:
                    self.failures.append((response.status_code, json.dumps(response.json())))


def pictures(count: int) -> list[tuple[float, bytes]]:
    """Frames of a camera: times and JPEGs."""
    import cv2

    found = []
    for number in range(count):
        frame = np.full((48, 64, 3), 40, np.uint8)
        frame[10:30, 2 * number % 40 : 2 * number % 40 + 20] = (200, 120, 30)
        found.append((number / 12, cv2.imencode(".jpg", frame)[1].tobytes()))
    return found


def push(service: Running, stream: str, frames, headers=None) -> list[dict]:
    """Push frames one by one; the answers that came back."""
    base = f"http://127.0.0.1:{service.port}/v1/streams/{stream}/frames"
    headers = {**(headers or service.headers), "content-type": "image/jpeg"}
    rows: list[dict] = []
    for at, picture in frames:
        response = httpx.post(base, params={"time": at}, content=picture, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
        rows += response.json()["results"]
    return rows


def create(service: Running, **options) -> dict:
    url = f"http://127.0.0.1:{service.port}/v1/streams"
    response = httpx.post(url, json={"model": "moves", "fps": 12, **options}, headers=service.headers, timeout=60)
    assert response.status_code == 201, response.text
    return response.json()


def test_a_stream_answers_window_by_window_and_ends_with_its_events(service):
    made = create(service, stride=0.5)
    assert (made["window"], made["hop"]) == pytest.approx((16 / 12, 0.5))
    rows = push(service, made["id"], pictures(36))
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert [row["start"] for row in rows] == pytest.approx([0, 0.5, 1, 1.5])
    address = f"http://127.0.0.1:{service.port}/v1/streams/{made['id']}"
    told = []
    with httpx.stream("GET", f"{address}/events?after=0", headers=service.headers, timeout=60) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        closed = threading.Thread(target=lambda: httpx.delete(address, headers=service.headers, timeout=60))
        closed.start()
        for line in response.iter_lines():
            told.append(line)
            if line == "event: end":
                break
    closed.join()
    numbers = [json.loads(line.removeprefix("data: "))["number"] for line in told if line.startswith('data: {"number"')]
    assert numbers == [1, 2, 3]
    gone = httpx.get(f"{address}/events", headers=service.headers, timeout=60)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "unknown_stream")
    assert not list((service.folder / "spool").glob("stream-*"))


def test_a_stream_goes_on_with_equal_answers_after_its_replica_was_killed(service):
    from ray import serve

    frames = pictures(60)
    calm = push(service, create(service, stride=0.5)["id"], frames)
    made = create(service, stride=0.5)
    rows = push(service, made["id"], frames[:31])
    handle = serve.get_deployment_handle("streams", "gateway").options(session_id=made["id"])
    os.kill(handle.pid.remote().result(timeout_s=60), signal.SIGKILL)
    rows += push(service, made["id"], frames[31:])
    assert [row["number"] for row in rows] == [row["number"] for row in calm]
    for row, other in zip(rows, calm):
        assert row["scores"] == pytest.approx(other["scores"], abs=1e-6)


def test_a_websocket_takes_frames_and_another_token_sees_no_stream(service):
    import struct

    from websockets.sync.client import connect

    made = create(service)
    other, _ = TokenFile(service.folder / "tokens.json").create("other")
    address = f"127.0.0.1:{service.port}/v1/streams/{made['id']}"
    stranger = httpx.delete(f"http://{address}", headers={"Authorization": f"Bearer {other}"}, timeout=60)
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (404, "unknown_stream")
    rows = []
    with connect(f"ws://{address}/ws", additional_headers=service.headers) as socket:
        for at, picture in pictures(20):
            socket.send(struct.pack("!d", at) + picture)
            rows += json.loads(socket.recv(60))["results"]
        socket.send(b"short")
        assert json.loads(socket.recv(60))["error"]["code"] == "invalid"
        socket.send(struct.pack("!d", 9.0) + b"no picture")
        assert json.loads(socket.recv(60))["error"]["code"] == "media_unreadable"
    assert [row["number"] for row in rows] == [0]
    assert rows[0]["top"][0]["name"] in CLASSES
