"""The Compose file and its template of secrets: pinned images, one published port, restrictions, names that resolve."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.checks.tree import Tree, dig, image_faults, unknown, words

FILE, ENV = "compose/compose.yaml", "compose/env.example"
TOP = {"name", "services", "networks", "volumes", "configs", "secrets"}
SERVICE = words(
    "build cap_drop command configs depends_on environment healthcheck image network_mode networks ports read_only "
    "restart secrets security_opt shm_size tmpfs user volumes"
)
GATEWAY = re.compile(r"(127\.0\.0\.1|\[::1\]|\$\{GATEWAY_ADDRESS:-127\.0\.0\.1\}):8000:8000")
SECRET = re.compile(r"(?i)(password|passwd|secret|token|access_key)")
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:?[-?+])?([^}]*)\}")
NO_SECRET = {"RAY_AUTH_MODE"}


def check(tree: Tree, name: str) -> Iterator[str]:
    """compose.yaml."""
    config = tree.document(name)
    yield from unknown({key: value for key, value in config.items() if not key.startswith("x-")}, TOP, "the file")
    services = config.get("services") or {}
    for key, service in services.items():
        where = f"services.{key}"
        yield from unknown(service, SERVICE, where)
        yield from image_faults(tree, service.get("image"), f"{where}.image")
        yield from _build(tree, service.get("build"), where)
        yield from _ports(service, where)
        yield from _restrictions(service, where)
        yield from _names(tree, service, config, where)
        yield from _literals(service.get("environment", {}), f"{where}.environment")
        yield from _ray(service, where)
    yield from _variables(tree, tree.text(name))


def check_env(tree: Tree, name: str) -> Iterator[str]:
    """env.example: nothing in it is a secret, nothing is missing, nothing is left over."""
    used = {match[0] for match in VARIABLE.findall(tree.text(FILE))} | set(
        re.findall(r"environment: (\w+)$", tree.text(FILE), re.MULTILINE)
    )
    values = env_values(tree.text(name))
    for key, value in values.items():
        if key not in used:
            yield f"{key}: compose.yaml does not use it: remove it"
        if value and key != "GATEWAY_ADDRESS":
            yield f"{key}: has a value, and this file is public: leave it empty"
    for key in sorted(used - set(values)):
        yield f"{key}: is missing, and compose.yaml uses it: add a line"


def env_values(text: str) -> dict[str, str]:
    lines = (line.partition("=") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in lines}


def _build(tree: Tree, build: Any, where: str) -> Iterator[str]:
    if build is None:
        return
    context = (tree.folder / "compose" / str(dig(build, "context"))).resolve()
    if not (context / str(dig(build, "dockerfile"))).is_file():
        yield f"{where}.build.dockerfile: there is no {dig(build, 'dockerfile')} in the context: correct the path"


def _ports(service: dict[str, Any], where: str) -> Iterator[str]:
    for port in service.get("ports", []):
        if not isinstance(port, str) or not GATEWAY.fullmatch(port):
            yield f"{where}.ports: {port!r} is published, and only the gateway's may be, on loopback: write 127.0.0.1:8000:8000"
    if service.get("network_mode", "service:").partition(":")[0] != "service":
        yield f"{where}.network_mode: {service['network_mode']!r} opens the machine's network: remove it"


def _restrictions(service: dict[str, Any], where: str) -> Iterator[str]:
    if service.get("cap_drop") != ["ALL"]:
        yield f"{where}.cap_drop: is {service.get('cap_drop')}: write [ALL]"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield f"{where}.security_opt: lacks no-new-privileges:true: add it"
    if str(service.get("image", "")).startswith("vidmodels:"):
        if service.get("read_only") is not True:
            yield f"{where}.read_only: is {service.get('read_only')}: write true"
        if str(service.get("user", "")).partition(":")[0] in ("", "0", "root"):
            yield f"{where}.user: is {service.get('user')!r}: write a number above 0"
        if not any(str(each).startswith("/tmp:") and "size=" in str(each) for each in service.get("tmpfs", [])):
            yield f"{where}.tmpfs: has no /tmp with a size: add /tmp:size=1g,mode=1777"


def _names(tree: Tree, service: dict[str, Any], config: dict[str, Any], where: str) -> Iterator[str]:
    services = config["services"]
    for name in service.get("depends_on", []):
        if name not in services:
            yield f"{where}.depends_on: there is no service {name!r}: one of {', '.join(services)}"
    mode = service.get("network_mode", "")
    if mode.startswith("service:") and mode.removeprefix("service:") not in services:
        yield f"{where}.network_mode: there is no service {mode.removeprefix('service:')!r}: correct it"
    for volume in service.get("volumes", []):
        source = str(volume).partition(":")[0]
        if source.startswith("."):
            if not (tree.folder / "compose" / source).exists():
                yield f"{where}.volumes: there is no {source}: correct the path"
        elif source not in (config.get("volumes") or {}):
            yield f"{where}.volumes: {source!r} is not among the volumes: add it, or write a path beside this file"
    for kind in ("networks", "secrets", "configs"):
        for each in service.get(kind, []):
            name = each["source"] if isinstance(each, dict) else each
            if name not in (config.get(kind) or {}):
                yield f"{where}.{kind}: there is no {name!r}: add it below {kind}"


def _literals(environment: Any, where: str) -> Iterator[str]:
    pairs = environment.items() if isinstance(environment, dict) else (str(each).split("=", 1) for each in environment)
    for key, value in pairs:
        text = str(value)
        if SECRET.search(key) and key not in NO_SECRET and not re.fullmatch(r"\$\{\w+:\?[^}]*\}", text):
            yield f"{where}.{key}: is written here: take it from .env, ${{NAME:?message}}"
        elif re.search(r"://[^/\s:@]+:(?!\$\{)[^@\s]+@", text):
            yield f"{where}.{key}: has a password in its address: take it from .env, ${{NAME:?message}}"


def _ray(service: dict[str, Any], where: str) -> Iterator[str]:
    words = service.get("command")
    if not isinstance(words, list) or words[:2] != ["ray", "start"]:
        return
    if dig(service, "environment.RAY_AUTH_MODE") != "token":
        yield f"{where}.environment.RAY_AUTH_MODE: is {dig(service, 'environment.RAY_AUTH_MODE')!r}: write token"
    if "--head" in words and "--dashboard-host=127.0.0.1" not in words:
        yield f"{where}.command: the dashboard listens to others: add --dashboard-host=127.0.0.1"
    for word in words:
        if word.startswith("--resources="):
            try:
                json.loads(word.partition("=")[2])
            except ValueError:
                yield f"{where}.command: {word} is not JSON: correct it"


def _variables(tree: Tree, text: str) -> Iterator[str]:
    for name, kind, _ in VARIABLE.findall(text):
        if kind not in (":?", ":-"):
            yield f"${{{name}}}: becomes empty where .env lacks it: write ${{{name}:?message}}"
