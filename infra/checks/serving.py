"""Serve configs, of `serve deploy` and `serveConfigV2`: Ray's schema, no unknown keys, settings of the service, ports."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any, get_type_hints

from pydantic import BaseModel, ValidationError

from infra.checks.tree import Tree, unknown

PORT = 8000


def check(tree: Tree, name: str) -> Iterator[str]:
    """A file for `serve deploy`."""
    yield from faults(tree.document(name))


def faults(config: Any, where: str = "") -> Iterator[str]:
    """A parsed config. where: its key in a larger file."""
    from ray.serve.schema import HTTPOptionsSchema, ServeApplicationSchema, ServeDeploySchema

    prefix = f"{where}." if where else ""
    yield from unknown(config, set(ServeDeploySchema.model_fields), where or "the file")
    if not isinstance(config, dict):
        return
    yield from unknown(config.get("http_options", {}), set(HTTPOptionsSchema.model_fields), f"{prefix}http_options")
    for i, application in enumerate(config.get("applications") or []):
        # Ray takes unknown keys of an application in silence
        yield from unknown(application, {*ServeApplicationSchema.model_fields, "args"}, f"{prefix}applications.{i}")
    try:
        ServeDeploySchema.model_validate(config)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            key = ".".join(str(part) for part in fault["loc"]) or "applications"
            yield f"{prefix}{key}: {fault['msg'].removeprefix('Value error, ')}: correct it"
        return
    if not config["applications"]:
        yield f"{prefix}applications: there is none: name services.app:build"
    if config.get("proxy_location") != "EveryNode":
        yield f"{prefix}proxy_location: is {config.get('proxy_location')!r}, and not every node would answer: write EveryNode"
    if config.get("http_options", {}).get("port") != PORT:
        yield f"{prefix}http_options.port: is not {PORT}, the only port that the network policy opens: write {PORT}"
    for i, application in enumerate(config["applications"]):
        yield from _application(application, config.get("http_options", {}), f"{prefix}applications.{i}")


def _application(application: dict[str, Any], http: dict[str, Any], where: str) -> Iterator[str]:
    module, _, attribute = application["import_path"].partition(":")
    try:
        build = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        yield f"{where}.import_path: {application['import_path']!r} cannot be imported ({error}): name MODULE:FUNCTION"
        return
    try:
        settings = settings_of(build).model_validate(application.get("args", {}))
    except ValidationError as error:
        from services.settings import first_fault

        yield f"{where}.args.{first_fault(error)}: correct it"
        return
    seconds, limits = http.get("request_timeout_s"), getattr(settings, "limits", None)
    if limits is not None and (seconds is None or seconds <= limits.deadline_s):
        yield (
            f"http_options.request_timeout_s: {seconds} ends requests before the service's own limits.deadline_s of "
            f"{limits.deadline_s:g} s: write more"
        )


def settings_of(build: Any) -> type[BaseModel]:
    """The type of what an application's builder takes."""
    first = next(iter(inspect.signature(build).parameters))
    return get_type_hints(build)[first]
