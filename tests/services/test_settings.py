"""Settings of the service: unknown keys and impossible values are named."""

from __future__ import annotations

import json

import pytest

from services.commands import check_port, serve
from services.settings import ServiceSettings, read_settings
from vidmodels.core.errors import ConfigError


def test_the_defaults_are_the_limits_that_readme_promises():
    limits = ServiceSettings().limits.of_media()
    assert (limits.seconds, limits.frames, limits.width, limits.height, limits.fps) == (600, 36_000, 4096, 4096, 120)
    assert limits.decoded_bytes == 2_000_000_000
    assert ServiceSettings().limits.body_mb == 200


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"colour": 1}, "colour: is not a setting"),
        ({"limits": {"body": 1}}, "limits.body: is not a setting"),
        ({"limits": {"body_mb": -1}}, "limits.body_mb"),
        ({"host": {"max_batch": 0}}, "host.max_batch"),
        ({"models": [{"source": "models:/a@x"}, {"source": "models:/a@x"}]}, "two models are called 'models:/a@x'"),
        ({"models": [{}]}, "models.0.source"),
        ([], "the whole"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, values, words):
    path = tmp_path / "service.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ConfigError) as error:
        read_settings(path)
    assert words in str(error.value)


def test_a_file_that_is_none_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no settings at"):
        read_settings(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        read_settings(tmp_path / "x.json")


def test_settings_of_one_host_replace_those_of_all():
    settings = ServiceSettings.model_validate({"host": {"max_batch": 4}, "hosts": {"big": {"max_batch": 2}}})
    assert settings.host_of("big").max_batch == 2
    assert settings.host_of("other").max_batch == 4


def test_a_port_that_is_taken_is_one_sentence():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be listened on"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


@pytest.mark.parametrize("port", ["70000", "0", "-1", "http"])
def test_a_number_that_is_no_port_is_refused_whatever_is_asked(port, capsys):
    for more in ([], ["--print-config"]):
        with pytest.raises(SystemExit):
            serve([f"--port={port}", *more])
        assert f"there is no port {port}: give a number from 1 to 65535" in capsys.readouterr().err
