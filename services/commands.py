"""The commands of `vidmodels` that need a server: `serve` and `token`."""

from __future__ import annotations

import argparse
import datetime
import json
import socket
from collections.abc import Sequence
from typing import Any

from services.settings import ServiceSettings, read_settings, storage_folder
from services.tokens import TokenFile
from vidmodels.core.errors import ConfigError, RunError

SESSION_DAYS = 1.0
READY_S = 600.0


def serve(argv: Sequence[str]) -> int:
    """`vidmodels serve [--config FILE] [--host H] [--port P]`: serve registered models until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="vidmodels serve",
        description="Serve registered models over HTTP on this machine, until SIGTERM or Ctrl-C. A token for a day is "
        "printed. For a cluster, --print-config writes the file for `serve deploy`.",
    )
    parser.add_argument("--config", metavar="FILE", help="settings as JSON (default: every registered model)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    parser.add_argument("--port", type=port_number, default=8000, help="port (default: 8000)")
    parser.add_argument(
        "--model", action="append", metavar="URI", help="models:/NAME@ALIAS to serve; several times (default: every model)"
    )
    parser.add_argument(
        "--print-config", action="store_true", help="print what `serve deploy` reads on a cluster, and serve nothing"
    )
    options = parser.parse_args(list(argv))
    changes: dict[str, Any] = {}
    if options.model:
        changes["models"] = [{"source": uri, "host": "all"} for uri in options.model]
    settings = read_settings(options.config, changes)
    if options.print_config:
        from services.app import deploy_config

        print(json.dumps(deploy_config(settings, options.host, options.port), indent=2))  # JSON is YAML too
        return 0
    check_port(options.host, options.port)
    check_models(settings)
    from services.run import run_here

    tokens = TokenFile(settings.tokens or storage_folder() / "tokens.json")
    tokens.drop_expired()
    text, _ = tokens.create("vidmodels serve", SESSION_DAYS)
    return run_here(settings, options.host, options.port, text)


def token(argv: Sequence[str]) -> int:
    """`vidmodels token create NAME | list | revoke ID`."""
    parser = argparse.ArgumentParser(prog="vidmodels token", description="Tokens that requests to the service show.")
    parser.add_argument("--file", default=str(storage_folder() / "tokens.json"), help="file of the tokens")
    actions = parser.add_subparsers(dest="action", required=True)
    new = actions.add_parser("create", help="make one; it is printed once, and kept as a hash")
    new.add_argument("name", help="who it is for")
    new.add_argument("--days", type=float, help="days until it expires (default: never)")
    new.add_argument("--per-minute", type=int, default=600, help="requests a minute (default: 600)")
    new.add_argument("--concurrent", type=int, default=64, help="requests at the same time (default: 64)")
    actions.add_parser("list", help="those that exist")
    gone = actions.add_parser("revoke", help="remove one")
    gone.add_argument("which", help="its id, or its name")
    options = parser.parse_args(list(argv))
    tokens = TokenFile(options.file)
    if options.action == "create":
        for key, value in (
            ("--days", options.days),
            ("--per-minute", options.per_minute),
            ("--concurrent", options.concurrent),
        ):
            if value is not None and value <= 0:
                raise ConfigError(f"{key} {value:g}: give a number above 0")
        text, made = tokens.create(options.name, options.days, options.per_minute, options.concurrent)
        print(f"{text}\n(id {made.id}; it is not shown again)")
    elif options.action == "revoke":
        for each in tokens.revoke(options.which):
            print(f"revoked {each.id} ({each.name})")
    else:
        for each in tokens.all():
            until = "never expires" if each.expires is None else f"expires {_day(each.expires)}"
            print(f"{each.id}  {each.name}  created {_day(each.created)}, {until}, {each.per_minute} a minute")
    return 0


def port_number(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"there is no port {text[:20]}: give a number from 1 to 65535")
    return int(text)


def check_port(host: str, port: int) -> None:
    """Raise ConfigError for an address that cannot be listened on: before models are loaded for minutes."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise ConfigError(f"{host}:{port} cannot be listened on ({error.strerror or error}): choose another --port") from None


def check_models(settings: ServiceSettings) -> None:
    """Raise where there is nothing to serve, or a model that is named does not exist."""
    from vidmodels.zoo import registry

    found = registry(settings.registry)
    for model in settings.models or ():
        found.find(model.source)
    if settings.models is None and not found.names():
        raise RunError(
            "there is no registered model to serve: train one (python pipelines/train_classifier.py slowfast_tiny), or bring "
            "weights with `vidmodels register`"
        )


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).isoformat(" ", "minutes")
