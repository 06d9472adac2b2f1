"""RayCluster, RayJob and RayService: their keys, version, token, groups, program and Serve config."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from infra.checks import serving
from infra.checks.pods import quantity, resource_faults, restricted, template_faults
from infra.checks.tree import Tree, dig, parsed, unknown, words

CLUSTER = words(
    "upgradeStrategy authOptions suspend managedBy autoscalerOptions headServiceAnnotations enableInTreeAutoscaling "
    "gcsFaultToleranceOptions historyServerOptions networkPolicy tlsOptions headGroupSpec rayVersion "
    "workerGroupSpecs"
)
JOB = words(
    "activeDeadlineSeconds backoffLimit rayClusterSpec submitterPodTemplate metadata clusterSelector "
    "submitterConfig managedBy deletionStrategy entrypoint runtimeEnvYAML jobId submissionMode entrypointResources "
    "entrypointNumCpus entrypointNumGpus ttlSecondsAfterFinished shutdownAfterJobFinishes suspend"
)
SERVICE = words(
    "serveConfigV2 rayClusterConfig serveService upgradeStrategy rayClusterDeletionDelaySeconds excludeHeadPodFromServeSvc"
)
HEAD = words("serviceType headService enableIngress rayStartParams resources labels template")
GROUP = words(
    "groupName replicas minReplicas maxReplicas idleTimeoutSeconds suspend numOfHosts rayStartParams resources "
    "labels scaleStrategy template"
)
AUTOSCALER = words(
    "resources image imagePullPolicy env envFrom volumeMounts securityContext idleTimeoutSeconds upscalingMode version"
)
WANTED = {
    "RayCluster": ("cpu-decode", "gpu-train", "gpu-serve"),
    "RayJob": ("cpu-decode", "gpu-train"),
    "RayService": ("cpu-decode", "gpu-serve"),
}


def check(tree: Tree, value: dict[str, Any]) -> Iterator[str]:
    """One of the three kinds."""
    kind, spec = value["kind"], value.get("spec")
    if not isinstance(spec, dict):
        yield "spec: is missing: write it"
        return
    if kind == "RayCluster":
        yield from cluster_faults(tree, spec, WANTED[kind], "spec")
        return
    key, known = ("rayClusterSpec", JOB) if kind == "RayJob" else ("rayClusterConfig", SERVICE)
    yield from unknown(spec, known, "spec")
    cluster = spec.get(key)
    if not isinstance(cluster, dict):
        yield f"spec.{key}: is missing: write the cluster"
        return
    yield from cluster_faults(tree, cluster, WANTED[kind], f"spec.{key}")
    if kind == "RayJob":
        yield from _job(tree, spec, cluster)
    else:
        yield from _service(spec, cluster)


def cluster_faults(tree: Tree, spec: dict[str, Any], wanted: tuple[str, ...], where: str) -> Iterator[str]:
    """A cluster, alone or in a job or service."""
    yield from unknown(spec, CLUSTER, where)
    pinned = tree.pins()["ray"]
    if spec.get("rayVersion") != pinned:
        yield f"{where}.rayVersion: is {spec.get('rayVersion')!r} and infra/constraints.txt has {pinned}: write that"
    yield from _token(tree, spec.get("authOptions"), f"{where}.authOptions")
    if spec.get("enableInTreeAutoscaling") is not True:
        yield f"{where}.enableInTreeAutoscaling: is off, so groups keep their size: write true"
    options = spec.get("autoscalerOptions") or {}
    yield from unknown(options, AUTOSCALER, f"{where}.autoscalerOptions")
    yield from restricted(options.get("securityContext"), f"{where}.autoscalerOptions")
    yield from resource_faults(options.get("resources"), f"{where}.autoscalerOptions.resources")
    yield from _head(tree, spec.get("headGroupSpec"), f"{where}.headGroupSpec")
    yield from _groups(tree, spec.get("workerGroupSpecs") or [], wanted, f"{where}.workerGroupSpecs")


def _token(tree: Tree, options: Any, where: str) -> Iterator[str]:
    if dig(options, "mode") != "token":
        yield f"{where}.mode: is {dig(options, 'mode')!r}, so whoever reaches the cluster runs code on it: write token"
        return
    secret = tree.object("Secret", dig(options, "secretName") or "")
    if secret is None or "auth_token" not in secret.get("stringData", {}):
        yield f"{where}.secretName: there is no Secret {dig(options, 'secretName')!r} with the key auth_token: name one"


def _head(tree: Tree, head: Any, where: str) -> Iterator[str]:
    yield from unknown(head, HEAD, where)
    if not isinstance(head, dict):
        return
    if head.get("enableIngress") or head.get("serviceType", "ClusterIP") != "ClusterIP":
        yield f"{where}: the head's ports are open to the outside: remove enableIngress and serviceType"
    if dig(head, "rayStartParams.num-cpus") != "0":
        yield f'{where}.rayStartParams.num-cpus: work would run beside Ray\'s own processes: write "0"'
    yield from template_faults(tree, head.get("template"), f"{where}.template")


def _groups(tree: Tree, groups: list[Any], wanted: tuple[str, ...], where: str) -> Iterator[str]:
    names = [dig(group, "groupName") for group in groups]
    for name in wanted:
        if name not in names:
            yield f"{where}: there is no group {name}: add it"
    for i, group in enumerate(groups):
        at = f"{where}.{i}"
        yield from unknown(group, GROUP, at)
        name = dig(group, "groupName")
        if names.index(name) != i:
            yield f"{at}.groupName: {name!r} is there twice: give one of them another name"
        sizes = [dig(group, key) for key in ("minReplicas", "replicas", "maxReplicas")]
        if not all(isinstance(size, int) for size in sizes) or sorted(sizes) != sizes:
            yield f"{at}: minReplicas, replicas, maxReplicas are {sizes}: write three numbers that do not fall"
        if str((dig(group, "resources") or {}).get(name)) != "1":
            yield f'{at}.resources: has no {name}: write `{name}: "1"`, which binds replicas to the group'
        if dig(group, "labels.pool") != name:
            yield f"{at}.labels.pool: is {dig(group, 'labels.pool')!r}: write {name}, for --run.decode-labels"
        yield from template_faults(tree, dig(group, "template"), f"{at}.template")
        yield from _gpu(group, at)


def _gpu(group: dict[str, Any], where: str) -> Iterator[str]:
    for i, container in enumerate(dig(group, "template.spec.containers") or []):
        has_gpu = "nvidia.com/gpu" in (dig(container, "resources.limits") or {})
        if has_gpu != str(container.get("image", "")).endswith("-cuda"):
            yield f"{where}.template.spec.containers.{i}: image and GPUs do not fit each other: GPUs go with the cuda image"


def node_of(cluster: dict[str, Any], name: str) -> dict[str, float]:
    """Ray's resources of a node of a group: CPU, GPU and the group's own."""
    group: dict[str, Any] = next((each for each in cluster.get("workerGroupSpecs") or [] if dig(each, "groupName") == name), {})
    containers = dig(group, "template.spec.containers") or [{}]
    limits = dig(containers[0], "resources.limits") or {}
    own = {key: quantity(amount) for key, amount in (dig(group, "resources") or {}).items()}
    return {"CPU": quantity(limits.get("cpu", 0)), "GPU": quantity(limits.get("nvidia.com/gpu", 0)), **own}


def _job(tree: Tree, spec: dict[str, Any], cluster: dict[str, Any]) -> Iterator[str]:
    words = shlex.split(str(spec.get("entrypoint", "")))
    if len(words) < 2 or words[0] != "python" or not (tree.root / words[1]).is_file():
        yield f"spec.entrypoint: {' '.join(words[:2])!r} is no program of this repository: write python pipelines/NAME.py"
    else:
        yield from _options(words[2:], cluster)
    template = spec.get("submitterPodTemplate")
    if template is None:
        yield "spec.submitterPodTemplate: is missing, and the operator's own has no restrictions: write it"
    else:
        yield from template_faults(tree, template, "spec.submitterPodTemplate")


def _options(words: list[str], cluster: dict[str, Any]) -> Iterator[str]:
    from vidmodels.core.recipe import ClassifyRecipe, DetectRecipe, MaskedRecipe, RunSection, flatten

    recipes = (ClassifyRecipe, DetectRecipe, MaskedRecipe)
    known = {key for recipe in recipes for key in flatten(recipe().model_dump(mode="json"))}
    known |= {f"run.{key}" for key in RunSection.model_fields}
    given: dict[str, str] = {}
    for word, value in zip(words, [*words[1:], ""]):
        if word.startswith("--"):
            key, _, inline = word.removeprefix("--").replace("-", "_").partition("=")
            given[key] = inline or value
            if key not in known:
                yield f"spec.entrypoint: --{key} is no setting of a recipe: see the program's --help"
    groups = {dig(group, "labels.pool"): group for group in cluster.get("workerGroupSpecs") or []}
    label = given.get("run.decode_labels", "pool=cpu-decode")
    if label.partition("=")[0] != "pool" or label.partition("=")[2] not in groups:
        yield f"spec.entrypoint: no group has the label {label}: write pool=NAME of a group"
    gpus = node_of(cluster, "gpu-train")["GPU"] * (dig(groups.get("gpu-train"), "maxReplicas") or 0)
    try:
        needed = int(given.get("run.num_workers", 1)) * float(given.get("run.gpus_per_worker", 0))
    except ValueError as error:
        yield f"spec.entrypoint: {error}: write numbers"
        return
    if needed > gpus:
        yield f"spec.entrypoint: the workers ask for {needed:g} GPUs and gpu-train has {gpus:g} at most: ask for fewer"


def _service(spec: dict[str, Any], cluster: dict[str, Any]) -> Iterator[str]:
    try:
        config = next(iter(parsed(str(spec.get("serveConfigV2", "")))), None)
    except yaml.YAMLError as error:
        yield f"spec.serveConfigV2: is not YAML ({' '.join(str(error).split())}): correct it"
        return
    found = list(serving.faults(config, "spec.serveConfigV2"))
    yield from found
    if not found and isinstance(config, dict):
        for i, application in enumerate(config["applications"]):
            yield from _fits(application.get("args", {}), cluster, f"spec.serveConfigV2.applications.{i}.args")


def _fits(args: dict[str, Any], cluster: dict[str, Any], where: str) -> Iterator[str]:
    """Every replica that names a group's resource fits on a node of that group."""
    sections = {key: args.get(key, {}) for key in ("decoder", "host")}
    sections.update({f"hosts.{word}": section for word, section in args.get("hosts", {}).items()})
    for key, section in sections.items():
        for resource, amount in section.get("resources", {}).items():
            node = node_of(cluster, resource)
            if resource not in node:
                yield f"{where}.{key}.resources.{resource}: no group has it: name one of the groups"
                continue
            needs = {"CPU": section.get("cpus", 1), "GPU": section.get("gpus", 0), resource: amount}
            for name, needed in needs.items():
                if needed > node.get(name, 0):
                    has = f"a node of {resource} has {node.get(name, 0):g}"
                    yield f"{where}.{key}: a replica asks for {needed:g} {name} and {has}: ask for less"
