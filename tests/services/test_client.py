"""The client and `vidmodels call` against the routes: answers, problems as exceptions, patience."""

from __future__ import annotations

import json

import pytest

from services.problems import Problem
from vidmodels.cli.main import main
from vidmodels.client import Client
from vidmodels.core.errors import ConfigError, ServiceError


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "a b.mp4"
    path.write_bytes(bytes(100_000))
    return path


@pytest.fixture
def client(service, address):
    with Client(address, service.token, patience=2) as client:
        yield client


def test_a_file_is_uploaded_and_the_answer_knows_its_version(service, client, video):
    answer = client.classify("moves", video, num_clips=4, stride=None)
    assert answer["top"][0]["name"] == "left"
    assert answer.version == "moves/3"
    assert len(answer.request_id) >= 8
    assert service.backend.sizes == [100_000]
    assert (service.backend.jobs[0].name, service.backend.jobs[0].options.num_clips) == ("a b.mp4", 4)


def test_a_file_of_a_store_is_named(service, client, video):
    client.classify("moves", "clips:a b.mp4", top=1)
    assert service.backend.jobs[0].path == str(video)


def test_models_are_listed(client):
    assert [model["name"] for model in client.models()] == ["moves", "who"]
    assert client.model("moves")["labels"] == ["left", "right"]


def test_problems_are_exceptions_with_their_parts(client, video):
    with pytest.raises(ServiceError, match="did you mean 'moves'") as error:
        client.classify("mover", video)
    assert (error.value.code, error.value.status, error.value.field) == ("unknown_model", 404, "model")
    assert error.value.request_id
    with pytest.raises(ServiceError) as error:
        client.classify("moves", video, colour="red")
    assert error.value.field == "colour"


def test_an_overloaded_service_is_asked_again_and_not_for_ever(service, client, video):
    class Recovers(list):
        def append(self, job):
            super().append(job)
            if len(self) == 2:
                service.backend.problem = None

    service.backend.jobs = Recovers()
    service.backend.problem = Problem("overloaded", "busy", retry_after=1)
    assert client.classify("moves", video).version == "moves/3"
    assert len(service.backend.jobs) == 2
    service.backend.problem = Problem("overloaded", "busy", retry_after=60)
    with pytest.raises(ServiceError, match="busy") as error:
        client.classify("moves", video)
    assert error.value.status == 503


def test_what_cannot_work_is_said(tmp_path, address, video, monkeypatch):
    monkeypatch.delenv("VIDMODELS_TOKEN", raising=False)
    with pytest.raises(ConfigError, match="no token"):
        Client(address)
    with Client("http://127.0.0.1:9", "vm_x_y") as client, pytest.raises(ServiceError, match="does not answer"):
        client.models()
    with Client(address, "vm_x_y") as client:
        with pytest.raises(ServiceError, match="unknown or has expired") as error:
            client.models()
        assert error.value.status == 401
        with pytest.raises(ConfigError, match="there is no file"):
            client.classify("moves", tmp_path / "none.mp4")


def test_the_command_prints_a_table_and_how_to_follow_the_version(service, address, video, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VIDMODELS_TOKEN", service.token)
    monkeypatch.setenv("VIDMODELS_URL", address)
    out = tmp_path / "answer.json"
    assert main(["call", "classify", "moves", str(video), "--option", "num-clips=2", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "0.7500  left" in shown
    assert "vidmodels lineage moves/3" in shown
    assert json.loads(out.read_text())["weights"] == "moves/3"
    assert service.backend.jobs[0].options.num_clips == 2
    assert main(["call", "classify", "moves", str(video), "--option", "num_clips"]) == 2
    assert "has no value" in capsys.readouterr().err
    assert main(["call", "classify", "moves", str(video), "--option", "num_clips=-1"]) == 1
    assert "num_clips" in capsys.readouterr().err
