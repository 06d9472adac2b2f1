"""Keeps on the cluster what the registry says: deploys new versions beside the old ones, and lets requests follow.

Every host (a replica's set of models) is a Serve application of its own, `models-HOST-DIGEST`. A new version is a new
application; only when it runs do requests go there, and the old one is removed after those that it has. So an update
loses nothing, and a version that does not load is never asked.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import time
from collections.abc import Iterable
from typing import Any

from services.catalogue import ServedInfo, info_of
from services.models.served import Wanted
from services.settings import ModelSection, ServiceSettings
from vidmodels.core.errors import VidmodelsError

log = logging.getLogger(__name__)

PREFIX = "models-"
RETRY_S = (60.0, 1800.0)
"""First and longest wait until a version that did not load is tried again: its registry may have been away."""
LAG_S = 3.0
"""How long gateways may still use an old table, which they ask for every second."""


@dataclasses.dataclass
class Table:
    """What is served. infos: by name; failures: why a model's newest version is not served; ready: all were tried once, by this
    keeper or by one before it."""

    infos: dict[str, ServedInfo] = dataclasses.field(default_factory=dict)
    failures: dict[str, str] = dataclasses.field(default_factory=dict)
    ready: bool = False

    def to_dict(self) -> dict[str, Any]:
        infos = {name: info.to_dict() for name, info in self.infos.items()}
        return {"infos": infos, "failures": self.failures, "ready": self.ready}


def table_of(values: dict[str, Any]) -> Table:
    infos = {name: info_of(info) for name, info in values["infos"].items()}
    return Table(infos, values["failures"], values["ready"])


@dataclasses.dataclass(frozen=True)
class _Failure:
    """Why a version does not load; wait: seconds until it is tried `again` (on the monotonic clock)."""

    reason: str
    wait: float
    again: float


class Plan:
    """Which versions each host shall hold: what the settings and the registry say, less versions that did not load."""

    def __init__(self, settings: ServiceSettings) -> None:
        from vidmodels.zoo import registry

        self._settings = settings
        self._registry = registry(settings.registry)
        self._bad: dict[tuple[str, str], _Failure] = {}

    def condemn(self, wanted: Iterable[Wanted], reason: str) -> None:
        """Note that these versions do not load. They are tried again after a while, each time a longer one."""
        for each in wanted:
            known = self._bad.get((each.registered, each.version))
            wait = RETRY_S[0] if known is None else min(2 * known.wait, RETRY_S[1])
            self._bad[each.registered, each.version] = _Failure(reason, wait, time.monotonic() + wait)

    def absolve(self, infos: Iterable[ServedInfo]) -> None:
        """Note that these versions do load."""
        for info in infos:
            self._bad.pop((info.registered, info.version), None)

    def failures(self) -> dict[str, str]:
        """Why versions are not served, by NAME/VERSION."""
        return {f"{name}/{version}": failure.reason for (name, version), failure in self._bad.items()}

    def hosts(self, current: dict[str, ServedInfo]) -> dict[str, list[Wanted]]:
        """Models by host. A model whose newest version does not load keeps the version that it has now.

        Raises VidmodelsError where the registry does not answer.
        """
        found: dict[str, list[Wanted]] = {}
        for section in self._sections():
            try:
                registered, version = self._registry.find(section.source)
            except VidmodelsError as error:
                log.warning("%s: %s", section.source, error)
                continue
            name = section.name or registered
            failure = self._bad.get((registered, version))
            if failure is not None and time.monotonic() < failure.again:
                if name not in current:
                    continue
                registered, version = current[name].registered, current[name].version
            uri = f"models:/{registered}/{version}"
            found.setdefault(section.host or name, []).append(
                Wanted(name, registered, version, uri, section.precision, self._settings.registry, self._registry.tags(uri))
            )
        return found

    def _sections(self) -> tuple[ModelSection, ...]:
        if self._settings.models is not None:
            return self._settings.models
        return tuple(ModelSection(source=f"models:/{name}@latest", host="all") for name in self._registry.names())


class Keeper:
    """The deployment of one replica that does it."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._plan = Plan(settings)
        self._table = Table()
        self._apps: dict[str, str] = {}  # by host
        self._leaving: dict[str, float] = {}  # old applications, and when they go
        self._adopted = asyncio.Event()
        self._task = asyncio.get_event_loop().create_task(self._keep())

    async def table(self) -> dict[str, Any]:
        """What is served now. A keeper that follows another one first finds what that had."""
        await self._adopted.wait()
        return self._table.to_dict()

    def check_health(self) -> None:
        """Serve replaces a replica whose work has ended."""
        if self._task.done():
            raise RuntimeError(f"the keeper's work has ended: {self._task.exception()!r}")

    async def _keep(self) -> None:
        await self._adopt()
        self._adopted.set()
        while True:
            try:
                await self._look()
            except VidmodelsError as error:
                log.warning("the registry cannot be read, and what is served stays: %s", error)
            await asyncio.sleep(self._settings.poll_s)

    async def _adopt(self) -> None:
        """Find applications that an earlier keeper started, so that its death changes nothing."""
        from ray import serve

        status = await asyncio.to_thread(serve.status)
        for app, state in status.applications.items():
            if app.startswith(PREFIX) and state.status == "RUNNING":
                host = app.removeprefix(PREFIX).rpartition("-")[0]
                if host in self._apps:
                    self._leaving[app] = time.monotonic()
                    continue
                self._apps[host] = app
                await self._take(app)
        self._table.ready = bool(self._apps)

    async def _look(self) -> None:
        hosts = await asyncio.to_thread(self._plan.hosts, self._table.infos)
        for host, wanted in hosts.items():
            app = app_name(host, wanted)
            if self._apps.get(host) != app:
                await self._change(host, app, wanted)
        for host in set(self._apps) - set(hosts):
            self._leave(self._apps.pop(host))
        served = {each.name for wanted in hosts.values() for each in wanted}
        kept = {name: info for name, info in self._table.infos.items() if name in served}
        self._table = Table(kept, self._plan.failures(), ready=True)
        await self._remove_old()

    async def _change(self, host: str, app: str, wanted: list[Wanted]) -> None:
        """Start an application beside the old one, and switch when it runs."""
        from ray import serve

        from services.models.host import host_app

        settings = self._settings.host_of(host)
        log.info("deploying %s: %s", app, ", ".join(f"{each.registered}/{each.version}" for each in wanted))
        try:
            await asyncio.to_thread(serve.run, host_app(wanted, settings, app), name=app, route_prefix=None)
        except RuntimeError as error:
            old = {(info.registered, info.version) for info in self._table.infos.values()}
            new = [each for each in wanted if (each.registered, each.version) not in old] or wanted
            reason = await asyncio.to_thread(_reason, app)
            log.error("%s does not run, and what is served stays (%s): %s", app, error, reason)
            # of several new models of one host only the one that the reason names stays away; the others are tried again
            blamed = [each for each in new if f"{each.registered}/{each.version} " in reason]
            self._plan.condemn(blamed or new, reason)
            await asyncio.to_thread(serve.delete, app)
            return
        old_app, self._apps[host] = self._apps.get(host), app
        await self._take(app)
        if old_app is not None:
            self._leave(old_app)

    async def _take(self, app: str) -> None:
        from ray import serve

        handle = serve.get_app_handle(app)
        infos = [info_of(values) for values in await handle.infos.remote()]
        self._plan.absolve(infos)
        self._table = Table(
            {**self._table.infos, **{info.name: info for info in infos}}, self._table.failures, self._table.ready
        )

    def _leave(self, app: str) -> None:
        self._leaving[app] = time.monotonic() + self._settings.limits.deadline_s + LAG_S  # no request lives longer

    async def _remove_old(self) -> None:
        from ray import serve

        for app, at in list(self._leaving.items()):
            if time.monotonic() >= at:
                del self._leaving[app]
                await asyncio.to_thread(serve.delete, app)


def app_name(host: str, wanted: list[Wanted]) -> str:
    """The application of a host with these models: another version is another name."""
    said = "\n".join(f"{each.name} {each.source} {each.precision}" for each in sorted(wanted, key=lambda each: each.name))
    return f"{PREFIX}{host}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def _reason(app: str) -> str:
    """The last line of why an application does not run."""
    from ray import serve

    state = serve.status().applications.get(app)
    texts = [] if state is None else [*(each.message for each in state.deployments.values()), state.message]
    lines = [line.strip() for text in texts for line in (text or "").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or ["no reason is known"])[-1][:500]
