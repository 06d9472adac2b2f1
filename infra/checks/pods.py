"""Pod templates: Kubernetes' schema, restrictions, resources, and that what they refer to exists."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from infra.checks.tree import Tree, dig, image_faults

KUBERNETES = "1.32"
RESTRICTIONS = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities.drop": ["ALL"],
}
OF_PODS = {"runAsNonRoot": True, "seccompProfile.type": "RuntimeDefault"}
UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
PARTS_OF = {"app.kubernetes.io/part-of": "vidmodels"}


def schema_faults(value: dict[str, Any], where: str = "") -> Iterator[str]:
    """An object against the schema of its kind, no unknown keys."""
    fault = _schema_fault(json.dumps(value, default=str))
    if fault is not None:
        key, what = fault
        yield f"{'.'.join(part for part in (where, key) if part) or 'the object'}: {what}: correct it"


@functools.lru_cache(256)
def _schema_fault(text: str) -> tuple[str, str] | None:
    """The key of the first fault of an object, written as JSON, and what is wrong; pods are often alike."""
    import kubernetes_validate

    value = json.loads(text)
    try:
        kubernetes_validate.validate(value, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return ".".join(str(part) for part in error.path), error.message
    except kubernetes_validate.SchemaNotFoundError:
        return "kind", f"Kubernetes {KUBERNETES} has no {value.get('apiVersion')} {value.get('kind')}"
    return None


def quantity(text: Any) -> float:
    """The number that `500m`, `2` or `8Gi` stands for. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", str(text))
    if match is None or match[2] not in UNITS:
        raise ValueError(f"{text!r} is no quantity")
    return float(match[1]) * UNITS[match[2]]


def template_faults(tree: Tree, template: Any, where: str) -> Iterator[str]:
    """A pod template of a Ray node or of a job's submitter."""
    if not isinstance(template, dict) or not isinstance(dig(template, "spec.containers"), list):
        yield f"{where}.spec.containers: is missing: add a container"
        return
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", **template.get("metadata", {})},
        "spec": template["spec"],
    }
    found = list(schema_faults(pod, where))
    yield from found
    if found:
        return
    labels = dig(template, "metadata.labels") or {}
    if not PARTS_OF.items() <= labels.items():
        yield f"{where}.metadata.labels: lacks app.kubernetes.io/part-of: vidmodels, by which policies know our pods: add it"
    spec = template["spec"]
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{where}.spec.{key}: shares the machine's own: remove it"
    yield from _restricted(spec, OF_PODS, f"{where}.spec")
    for i, container in enumerate([*spec["containers"], *spec.get("initContainers", [])]):
        yield from _container(tree, container, spec, f"{where}.spec.containers.{i}")
    yield from _volumes(tree, spec, where)


def restricted(context: Any, where: str) -> Iterator[str]:
    """The securityContext of a container."""
    yield from _restricted({"securityContext": context}, RESTRICTIONS, where)


def _restricted(holder: dict[str, Any], wanted: dict[str, Any], where: str) -> Iterator[str]:
    for key, value in wanted.items():
        if dig(holder, f"securityContext.{key}") != value:
            shown = str(value).lower() if isinstance(value, bool) else value
            yield f"{where}.securityContext.{key}: is {dig(holder, f'securityContext.{key}')!r}: write {shown}"


def _container(tree: Tree, container: dict[str, Any], spec: dict[str, Any], where: str) -> Iterator[str]:
    yield from image_faults(tree, container.get("image"), f"{where}.image")
    yield from restricted(container.get("securityContext"), where)
    yield from resource_faults(container.get("resources"), f"{where}.resources")
    for i, variable in enumerate(container.get("env", [])):
        name = variable["name"]
        if "value" in variable and re.search(r"(?i)token$|password|secret|access_key", name):
            yield f"{where}.env.{i}: {name} is a secret in plain sight: take it from a Secret with valueFrom"
        yield from _reference(tree, "Secret", dig(variable, "valueFrom.secretKeyRef"), f"{where}.env.{i}")
        yield from _reference(tree, "ConfigMap", dig(variable, "valueFrom.configMapKeyRef"), f"{where}.env.{i}")
    for i, source in enumerate(container.get("envFrom", [])):
        yield from _reference(tree, "Secret", source.get("secretRef"), f"{where}.envFrom.{i}")
        yield from _reference(tree, "ConfigMap", source.get("configMapRef"), f"{where}.envFrom.{i}")
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    mounts = container.get("volumeMounts", [])
    for i, mount in enumerate(mounts):
        if mount["name"] not in volumes:
            yield f"{where}.volumeMounts.{i}: there is no volume {mount['name']!r}: one of {', '.join(sorted(volumes))}"
    if "/tmp" not in {mount["mountPath"] for mount in mounts}:
        yield f"{where}.volumeMounts: /tmp is read-only: mount an emptyDir with a sizeLimit"


def resource_faults(resources: Any, where: str) -> Iterator[str]:
    """Requests and limits of cpu and memory are there, and no request is above its limit."""
    for name in ("cpu", "memory"):
        for part in ("requests", "limits"):
            if dig(resources, f"{part}.{name}") is None:
                yield f"{where}.{part}.{name}: is missing, and Ray and the scheduler count with it: write it"
    for name, limit in (dig(resources, "limits") or {}).items():
        request = (dig(resources, "requests") or {}).get(name, limit)
        try:
            if quantity(request) > quantity(limit):
                yield f"{where}.requests.{name}: {request} is above the limit {limit}: write at most that"
        except ValueError as error:
            yield f"{where}.{name}: {error}: write a number with a unit, such as 500m or 8Gi"


def _reference(tree: Tree, kind: str, reference: Any, where: str) -> Iterator[str]:
    if not isinstance(reference, dict) or reference.get("optional"):
        return
    there = tree.object(kind, reference.get("name", ""))
    if there is None:
        yield f"{where}: there is no {kind} {reference.get('name')!r} in infra/kuberay: add it or correct the name"
    elif "key" in reference and reference["key"] not in {**there.get("stringData", {}), **there.get("data", {})}:
        yield f"{where}: the {kind} {reference['name']} has no key {reference['key']!r}: correct it"


def _volumes(tree: Tree, spec: dict[str, Any], where: str) -> Iterator[str]:
    for i, volume in enumerate(spec.get("volumes", [])):
        at = f"{where}.spec.volumes.{i}"
        if "hostPath" in volume:
            yield f"{at}: hostPath opens the machine's files: use an emptyDir or a claim"
        if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
            yield f"{at}.emptyDir: may fill the node's disk: add a sizeLimit"
        claim = dig(volume, "persistentVolumeClaim.claimName")
        if claim is not None:
            yield from _reference(tree, "PersistentVolumeClaim", {"name": claim}, at)
        if "secret" in volume:
            yield from _reference(tree, "Secret", {"name": volume["secret"].get("secretName")}, at)
        if "configMap" in volume:
            yield from _reference(tree, "ConfigMap", {"name": volume["configMap"].get("name")}, at)
