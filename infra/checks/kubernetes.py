"""Objects of Kubernetes: kinds, names, schemas; secrets without values; claims that several nodes share; the network policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from infra.checks import kuberay
from infra.checks.pods import schema_faults
from infra.checks.tree import PLACEHOLDER, Tree, dig, unknown

RAY = "ray.io/v1"
KINDS = {
    "Namespace": "v1",
    "ConfigMap": "v1",
    "Secret": "v1",
    "PersistentVolumeClaim": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "RayCluster": RAY,
    "RayJob": RAY,
    "RayService": RAY,
}
TOP = {"apiVersion", "kind", "metadata", "spec"}
GATEWAY, DASHBOARD = 8000, 8265
OPERATOR = {"app.kubernetes.io/name": "kuberay-operator"}


def check(tree: Tree, name: str) -> Iterator[str]:
    documents = tree.documents(name)
    if not documents:
        yield "the file: is empty: remove it"
    for i, value in enumerate(documents):
        prefix = f"document {i + 1}: " if len(documents) > 1 else ""
        for fault in _object(tree, name, value):
            yield prefix + fault


def _object(tree: Tree, file: str, value: Any) -> Iterator[str]:
    kind, version = dig(value, "kind"), dig(value, "apiVersion")
    if kind not in KINDS:
        yield f"kind: {kind!r} is not checked here: one of {', '.join(KINDS)}"
        return
    if version != KINDS[kind]:
        yield f"apiVersion: {version!r} is not that of {kind}: write {KINDS[kind]}"
        return
    name = dig(value, "metadata.name")
    if not isinstance(name, str):
        yield "metadata.name: is missing: write it"
        return
    if kind != "Namespace" and dig(value, "metadata.namespace") != "vidmodels":
        yield f"metadata.namespace: is {dig(value, 'metadata.namespace')!r}: write vidmodels"
    same = [where for where, each in tree.objects if (each.get("kind"), dig(each, "metadata.name")) == (kind, name)]
    if len(same) > 1:
        yield f"metadata.name: there is another {kind} {name!r}: give one of them another name"
    if version == RAY:
        yield from unknown(value, TOP, kind)
        yield from kuberay.check(tree, value)
        return
    found = list(schema_faults(value))
    yield from found
    if not found and kind in CHECKS:
        yield from CHECKS[kind](tree, value)


def _secret(tree: Tree, value: dict[str, Any]) -> Iterator[str]:
    for key, text in {**value.get("data", {}), **value.get("stringData", {})}.items():
        if text != PLACEHOLDER and not _no_tokens(text):
            yield f"stringData.{key}: is a value and not {PLACEHOLDER}: a secret is never written into this file"


def _no_tokens(text: str) -> bool:
    try:
        return json.loads(text) == {"tokens": []}
    except ValueError:
        return False


def _claim(tree: Tree, value: dict[str, Any]) -> Iterator[str]:
    if dig(value, "spec.accessModes") != ["ReadWriteMany"]:
        yield f"spec.accessModes: is {dig(value, 'spec.accessModes')}, and nodes share it: write [ReadWriteMany]"


def _policy(tree: Tree, value: dict[str, Any]) -> Iterator[str]:
    policies = [each for _, each in tree.objects if each.get("kind") == "NetworkPolicy"]
    if not any(_denies_all(each["spec"]) for each in policies if isinstance(each.get("spec"), dict)):
        yield "spec: no policy denies everything by default: add one with podSelector {} and no rules"
    for i, rule in enumerate(dig(value, "spec.ingress") or []):
        sources = rule.get("from") or [{}]
        for source in sources:
            yield from _opened(source, rule.get("ports"), f"spec.ingress.{i}")
    for i, rule in enumerate(dig(value, "spec.egress") or []):
        if not rule.get("to"):
            yield f"spec.egress.{i}.to: is open to everything: name where pods may go"
        elif not rule.get("ports") and not all(_ours(each) for each in rule["to"]):
            yield f"spec.egress.{i}.ports: all are open: name the ports"


def _denies_all(spec: dict[str, Any]) -> bool:
    rules = spec.get("ingress") or spec.get("egress")
    return spec.get("podSelector") == {} and set(spec.get("policyTypes", [])) == {"Ingress", "Egress"} and not rules


def _ours(peer: dict[str, Any]) -> bool:
    """Whether a peer is our own pods in our own namespace."""
    labels = dig(peer, "podSelector.matchLabels") or {}
    return "namespaceSelector" not in peer and labels.get("app.kubernetes.io/part-of") == "vidmodels"


def _opened(source: dict[str, Any], ports: list[dict[str, Any]] | None, where: str) -> Iterator[str]:
    if _ours(source):
        return
    if not ports:
        yield f"{where}.ports: all are open, Ray's too: name port {GATEWAY}"
    operator = (dig(source, "podSelector.matchLabels") or {}) == OPERATOR
    for each in ports or []:
        port = each.get("port")
        if "endPort" in each or (port != GATEWAY and not (operator and port == DASHBOARD)):
            yield f"{where}.ports: {port} is open to others, and only the gateway's {GATEWAY} may be: remove it"


CHECKS = {"Secret": _secret, "PersistentVolumeClaim": _claim, "NetworkPolicy": _policy}
