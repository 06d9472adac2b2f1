"""Prometheus' configuration and rules, Grafana's provisioning and dashboards: targets, metrics and files that exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.checks.compose import FILE
from infra.checks.metrics import query_faults
from infra.checks.tree import Tree, dig, unknown, words

TOP = {"global", "rule_files", "scrape_configs", "alerting"}
SCRAPE = words("job_name authorization static_configs dns_sd_configs metrics_path scheme scrape_interval scrape_timeout")
RULE = {"alert", "expr", "for", "labels", "annotations", "keep_firing_for", "record"}
DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
COLUMNS = 24


def _top(config: dict[str, Any], known: set[str], list_of: str) -> Iterator[str]:
    """The keys of a file, one of which has to list something."""
    yield from unknown(config, known, "the file")
    if not config.get(list_of):
        yield f"{list_of}: is missing: write what belongs there"


def prometheus(tree: Tree, name: str) -> Iterator[str]:
    """prometheus.yml."""
    config = tree.document(name)
    services = tree.document(FILE).get("services", {})
    yield from _top(config, TOP, "scrape_configs")
    for file in config.get("rule_files", []):
        if not (tree.folder / "compose" / file).is_file():
            yield f"rule_files: there is no {file}: correct the name"
    jobs = [dig(scrape, "job_name") for scrape in config.get("scrape_configs", [])]
    for i, scrape in enumerate(config.get("scrape_configs", [])):
        where = f"scrape_configs.{i}"
        yield from unknown(scrape, SCRAPE, where)
        if jobs.index(dig(scrape, "job_name")) != i:
            yield f"{where}.job_name: {scrape['job_name']!r} is there twice: give one of them another name"
        targets = [target for each in scrape.get("static_configs", []) for target in each.get("targets", [])]
        hosts = [str(target).rpartition(":")[0] for target in targets]
        hosts += [host for each in scrape.get("dns_sd_configs", []) for host in each.get("names", [])]
        if not hosts:
            yield f"{where}: asks nobody: add static_configs with targets"
        for host in hosts:
            if host not in {*services, "127.0.0.1"}:
                yield f"{where}: {host!r} is no service of compose.yaml: one of {', '.join(services)}"
        if any(str(target).endswith(":8000") for target in targets) and not dig(scrape, "authorization.credentials_file"):
            yield f"{where}.authorization: the gateway wants a token: give its credentials_file"
        secret = str(dig(scrape, "authorization.credentials_file") or "").removeprefix("/run/secrets/")
        if secret and secret not in dig(services, "prometheus.secrets"):
            yield f"{where}.authorization.credentials_file: the service prometheus has no secret {secret!r}: correct it"
        if dig(scrape, "authorization.credentials") is not None:
            yield f"{where}.authorization.credentials: a secret stands here: use credentials_file"


def rules(tree: Tree, name: str) -> Iterator[str]:
    """rules.yml."""
    jobs = {dig(scrape, "job_name") for scrape in tree.document("compose/prometheus.yml").get("scrape_configs", [])}
    seen: set[str] = set()
    yield from _top(tree.document(name), {"groups"}, "groups")
    for i, group in enumerate(tree.document(name).get("groups", [])):
        for j, rule in enumerate(group.get("rules", [])):
            where = f"groups.{i}.rules.{j}"
            yield from unknown(rule, RULE, where)
            title = rule.get("alert") or rule.get("record")
            if title is None or title in seen:
                yield f"{where}.alert: {title!r} is missing or there twice: give it a name of its own"
            seen.add(str(title))
            for fault in query_faults(tree.root, str(rule.get("expr", ""))):
                yield f"{where}.expr: {fault}"
            for job in re.findall(r'\bjob="([^"]*)"', str(rule.get("expr", ""))):
                if job not in jobs:
                    yield f"{where}.expr: there is no job {job!r} in prometheus.yml: correct it"
            if "for" in rule and not DURATION.fullmatch(str(rule["for"])):
                yield f"{where}.for: {rule['for']!r} is no duration: write one such as 5m"
            if not dig(rule, "annotations.summary"):
                yield f"{where}.annotations.summary: is missing: say what is wrong"


def datasources(tree: Tree, name: str) -> Iterator[str]:
    """Grafana's sources of data."""
    services = tree.document(FILE).get("services", {})
    yield from _top(tree.document(name), {"apiVersion", "datasources"}, "datasources")
    for i, source in enumerate(tree.document(name).get("datasources", [])):
        host = re.sub(r"^https?://|:\d+$", "", str(source.get("url", "")))
        if host not in services:
            yield f"datasources.{i}.url: {host!r} is no service of compose.yaml: one of {', '.join(services)}"
        if not source.get("uid"):
            yield f"datasources.{i}.uid: is missing, and dashboards name it: write it"


def providers(tree: Tree, name: str) -> Iterator[str]:
    """Grafana's folders of dashboards."""
    mounts = [str(each).split(":")[1] for each in dig(tree.document(FILE), "services.grafana.volumes") or []]
    yield from _top(tree.document(name), {"apiVersion", "providers"}, "providers")
    for i, provider in enumerate(tree.document(name).get("providers", [])):
        if dig(provider, "options.path") not in mounts:
            yield f"providers.{i}.options.path: {dig(provider, 'options.path')!r} is not mounted in grafana: correct it"


def dashboard(tree: Tree, name: str) -> Iterator[str]:
    """A dashboard: panels side by side, queries of metrics that exist."""
    try:
        board: Any = json.loads(tree.text(name))
    except ValueError as error:
        yield f"the file: is not JSON ({error}): correct it"
        return
    for key in ("uid", "title", "schemaVersion", "panels"):
        if not dig(board, key):
            yield f"{key}: is missing: write it"
    known = {
        source.get("uid") for source in tree.document("compose/grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    }
    panels = dig(board, "panels") or []
    ids = [panel.get("id") for panel in panels]
    for i, panel in enumerate(panels):
        where = f"panels.{i} ({panel.get('title')})"
        if ids.index(panel.get("id")) != i:
            yield f"{where}.id: {panel.get('id')} is there twice: number the panels"
        place = panel.get("gridPos", {})
        if place.get("x", 0) + place.get("w", COLUMNS + 1) > COLUMNS:
            yield f"{where}.gridPos: does not fit into {COLUMNS} columns: correct x and w"
        if panel.get("type") != "row" and not panel.get("targets"):
            yield f"{where}.targets: is missing: write a query"
        for target in panel.get("targets", []):
            source = dig(target, "datasource.uid")
            if source not in known:
                yield f"{where}.datasource.uid: there is no source {source!r}: one of {', '.join(sorted(known))}"
            for fault in query_faults(tree.root, str(target.get("expr", "")).replace("$__rate_interval", "5m")):
                yield f"{where}.expr: {fault}"
