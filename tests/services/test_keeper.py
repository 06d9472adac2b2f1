"""Which versions are wanted where: the registry's, less those that do not load, for as long as they do not."""

from __future__ import annotations

import dataclasses

import pytest

from services.models import keeper
from services.models.keeper import Plan, app_name
from services.models.served import Wanted
from services.settings import ServiceSettings
from tests.services.fake import INFO
from vidmodels.core.errors import ConfigError


class FakeRegistry:
    """Names with their newest version."""

    def __init__(self, **versions: int) -> None:
        self.versions = versions

    def names(self):
        return sorted(self.versions)

    def find(self, uri):
        name = uri.removeprefix("models:/").partition("@")[0]
        if name not in self.versions:
            raise ConfigError(f"no model {name!r}")
        return name, str(self.versions[name])

    def tags(self, uri):
        return {"dataset_digest": uri}


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets."""
    now = [0.0]
    monkeypatch.setattr(keeper.time, "monotonic", lambda: now[0])
    return now


def plan(monkeypatch, found, **settings) -> Plan:
    monkeypatch.setattr("vidmodels.zoo.registry", lambda address: found)
    return Plan(ServiceSettings.model_validate(settings))


def versions(hosts) -> dict[str, list[str]]:
    return {host: [f"{each.name}={each.registered}/{each.version}" for each in wanted] for host, wanted in hosts.items()}


def test_without_settings_every_model_is_on_one_host(monkeypatch):
    found = plan(monkeypatch, FakeRegistry(a=1, b=7)).hosts({})
    assert versions(found) == {"all": ["a=a/1", "b=b/7"]}
    assert found["all"][1].tags == {"dataset_digest": "models:/b/7"}


def test_settings_say_what_is_served_under_which_name_and_where(monkeypatch):
    models = [
        {"source": "models:/a@best", "name": "moves"},
        {"source": "models:/b@best", "host": "small"},
        {"source": "models:/gone@best", "host": "small"},
        {"source": "models:/c@best", "host": "small", "precision": "bf16"},
    ]
    found = plan(monkeypatch, FakeRegistry(a=1, b=2, c=3), models=models, registry="sqlite:///x").hosts({})
    assert versions(found) == {"moves": ["moves=a/1"], "small": ["b=b/2", "c=c/3"]}, "one that is not there stops no other"
    assert found["small"][1].precision == "bf16"
    assert found["moves"][0].registry == "sqlite:///x"


def test_a_version_that_does_not_load_is_replaced_by_the_one_that_runs_and_tried_again_ever_later(monkeypatch, clock):
    registry = FakeRegistry(a=2, b=1)
    wanted = plan(monkeypatch, registry)
    current = {"a": dataclasses.replace(INFO, name="a", registered="a", version="1")}
    bad = [each for each in wanted.hosts(current)["all"] if each.name == "a"]
    wanted.condemn(bad, "its weights are damaged")
    assert versions(wanted.hosts(current)) == {"all": ["a=a/1", "b=b/1"]}
    assert versions(wanted.hosts({})) == {"all": ["b=b/1"]}, "without one that runs it is left out"
    assert wanted.failures() == {"a/2": "its weights are damaged"}
    waits = []
    for _ in range(8):
        start = clock[0]
        while versions(wanted.hosts(current))["all"][0] == "a=a/1":
            clock[0] += 10
        waits.append(clock[0] - start)
        wanted.condemn(bad, "its weights are damaged")
    assert waits == [60, 120, 240, 480, 960, 1800, 1800, 1800]
    registry.versions["a"] = 3
    assert versions(wanted.hosts(current))["all"][0] == "a=a/3", "the next version is tried at once"
    wanted.absolve([dataclasses.replace(INFO, registered="a", version="2")])
    assert wanted.failures() == {}


def test_another_version_is_another_application():
    one = Wanted("moves", "moves", "1", "models:/moves/1")
    two = dataclasses.replace(one, version="2", source="models:/moves/2")
    other = Wanted("a", "a", "1", "models:/a/1")
    assert app_name("moves", [one]) != app_name("moves", [two])
    assert app_name("h", [one, other]) == app_name("h", [other, one]), "the order does not count"
    assert app_name("moves", [one]).startswith("models-moves-")
