"""The whole service on Ray Serve: real models from a registry, real videos over HTTP, updates while requests come."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading

import httpx
import pytest

from pipelines.common import commands
from pipelines.common.resolvers import resolve
from services.tokens import TokenFile
from tests.data.videos import write
from tests.pipelines.stores import wait_for
from tests.services.camera import create, pictures, push
from tests.services.lab import CLASSES, Lab
from tests.services.load import Load
from vidmodels.client import Client
from vidmodels.core.errors import ConfigError, ServiceError

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def service(ray_cluster, tmp_path_factory):
    """A running service with one tiny model, registered as `moves`."""
    half = {"cpus": 0.5}
    lab = Lab(tmp_path_factory.mktemp("service"), limits={"deadline_s": 60, "seconds": 30}, host=half, decoder=half)
    lab.start()
    yield lab
    lab.stop()


def test_an_answer_is_that_of_the_predictor(service):
    from vidmodels import Predictor

    response = service.ask(num_clips="3")
    assert response.status_code == 200, response.text
    body = response.json()
    expected = Predictor(str(service.weights(0))).predict(str(service.video), num_clips=3)
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
    expected = Predictor(str(service.weights(0))).features(str(service.video))
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


def test_updates_lose_no_request_and_a_version_that_does_not_load_gets_none(service, tmp_path, capsys):
    for name in ("jump", "run"):
        (tmp_path / name).mkdir()
        for number in range(6):
            write(tmp_path / name / f"{number}.mp4", 20, size=(32, 40))
    with Load(service, service.video.read_bytes()) as load:
        wait_for(lambda: bool(load.versions), 60)
        service.fine_tune(tmp_path)
        wait_for(lambda: "moves/2" in load.versions, 300)
        assert service.ask().json()["classes"] == ["jump", "run"]
        service.register(seed=2)
        resolve("models:/moves@live", service.store).path.write_bytes(b"no weights")
        wait_for(lambda: service.get("/v1/models").json()["failures"], 300)
        service.register(seed=3)
        wait_for(lambda: load.versions[-1] == "moves/4", 300)
    assert [shot for shot in load.shots if shot.status != 200] == []
    order = [version for number, version in enumerate(load.versions) if version not in load.versions[:number]]
    assert order == ["moves/1", "moves/2", "moves/4"]
    # what an answer said of its model leads to what the model was made from
    capsys.readouterr()
    assert commands.lineage([order[1], "--tracking-uri", service.store, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert all(told[key] for key in ("checkpoint_sha256", "recipe_hash", "code_version", "dataset_digest", "metrics"))
    assert told["params"]["schedule.max_steps"] == "4"


def test_everything_spooled_is_gone(service):
    wait_for(lambda: not list(service.spool.iterdir()), 10)


def test_a_stream_answers_window_by_window_and_ends_with_its_events(service):
    made = create(service, stride=0.5)
    assert (made["window"], made["hop"]) == pytest.approx((16 / 12, 0.5))
    rows = push(service, made["id"], pictures(36))
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert [row["start"] for row in rows] == pytest.approx([0, 0.5, 1, 1.5])
    address = f"{service.url}/v1/streams/{made['id']}"
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
    assert not list(service.spool.glob("stream-*"))


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


def test_a_video_in_a_stream_is_answered_as_its_frames_and_survives_its_replica(service, tmp_path):
    """By the client: one video whole, the same in two parts with the death of the replica between them."""
    from ray import serve

    whole = write(tmp_path / "whole.mp4", count=48, fps=12, size=(48, 64), gop=24, b_frames=0)
    with Client(service.url, service.token) as client:
        with client.stream("moves", fps=12, stride=0.5) as stream:
            rows = stream.push_video(0, whole)
            assert stream.push_video(0, whole) == [], "frames that are there already are skipped"
            told = itertools.islice(stream.events(), len(rows))
            assert [row["number"] for row in told] == [row["number"] for row in rows] == list(range(6))
        with client.stream("moves", fps=12, stride=0.5) as stream:
            first = stream.push_video(0, service.video)
            handle = serve.get_deployment_handle("streams", "gateway").options(session_id=stream.id)
            os.kill(handle.pid.remote().result(timeout_s=60), signal.SIGKILL)
            rows = first + stream.push_video(2, service.video)
        with client.stream("moves", fps=12, stride=0.5) as stream:
            calm = stream.push_video(0, service.video) + stream.push_video(2, service.video)
        assert [row["number"] for row in rows] == [row["number"] for row in calm]
        for row, other in zip(rows, calm):
            assert row["scores"] == pytest.approx(other["scores"], abs=1e-5)
        with client.stream("moves", fps=12) as stream:
            broken = tmp_path / "broken.mp4"
            broken.write_bytes(whole.read_bytes()[:-300])
            with pytest.raises(ServiceError) as error:
                stream.push_video(0, broken)
            assert error.value.code == "media_unreadable"
            with pytest.raises(ConfigError, match="there is no file"):
                stream.push_video(0, tmp_path / "none.mp4")
    assert not list(service.spool.glob("up-*"))


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
