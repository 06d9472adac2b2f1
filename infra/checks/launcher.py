"""The VM launcher's YAML: Ray's own schema, groups of nodes, images, and Ray's ports inside the machines only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.checks.tree import Tree, image_faults

GROUPS = {"cpu-decode", "gpu-train", "gpu-serve"}


def check(tree: Tree, name: str) -> Iterator[str]:
    import jsonschema
    import ray

    config = tree.document(name)
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    found = sorted(
        jsonschema.Draft7Validator(schema).iter_errors(config), key=lambda error: [str(part) for part in error.absolute_path]
    )
    for error in found:
        yield f"{'.'.join(str(part) for part in error.absolute_path) or 'the file'}: {error.message}: correct it"
    if found:
        return
    types = config.get("available_node_types", {})
    if config.get("head_node_type") not in types:
        yield f"head_node_type: {config.get('head_node_type')!r} is not in available_node_types: name one of {', '.join(types)}"
    for group in sorted(GROUPS - set(types)):
        yield f"available_node_types.{group}: is missing: add the group"
    for key, group in types.items():
        if key != config.get("head_node_type"):
            yield from _group(key, group, config.get("max_workers", 0))
    yield from _images(tree, config)
    yield from _commands(config)


def _group(name: str, group: dict[str, Any], most_of_all: int) -> Iterator[str]:
    where = f"available_node_types.{name}"
    least, most = group.get("min_workers", 0), group.get("max_workers", 0)
    if not least <= most <= most_of_all:
        yield f"{where}: min_workers {least}, max_workers {most} and the cluster's {most_of_all} do not rise: correct them"
    if group["resources"].get(name, 0) < 1:
        yield f"{where}.resources: has no {name}: write `{name}: 1`, which binds replicas to the group"
    if group.get("labels", {}).get("pool") != name:
        yield f"{where}.labels.pool: is not {name}: write it, for --run.decode-labels"


def _images(tree: Tree, config: dict[str, Any]) -> Iterator[str]:
    docker = config.get("docker", {})
    for key in ("image", "head_image", "worker_image"):
        if key in docker:
            yield from image_faults(tree, docker[key], f"docker.{key}")
    for name, group in config.get("available_node_types", {}).items():
        image = group.get("docker", {}).get("worker_image")
        if image is not None:
            yield from image_faults(tree, image, f"available_node_types.{name}.docker.worker_image")
        if group["resources"].get("GPU") and "cuda" not in str(image or docker.get("image")):
            yield f"available_node_types.{name}: has GPUs and an image without CUDA: set docker.worker_image"


def _commands(config: dict[str, Any]) -> Iterator[str]:
    start = " ".join(config.get("head_start_ray_commands") or [])
    if "--dashboard-host=127.0.0.1" not in start:
        yield "head_start_ray_commands: the dashboard listens to others: add --dashboard-host=127.0.0.1"
    if "~/.ray/auth_token" not in config.get("file_mounts", {}):
        yield "file_mounts: Ray's token does not come to the nodes: mount ~/.ray/auth_token"
