"""The service on this machine: a local Ray, the application, and its end when a signal comes."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
import urllib.error
import urllib.request

from services.replicas import prepare_environment
from services.settings import ServiceSettings, storage_folder
from vidmodels.core.errors import RunError

log = logging.getLogger(__name__)

POLL_S = 0.5


def run_here(settings: ServiceSettings, host: str, port: int, token: str) -> int:
    """Serve until SIGTERM or SIGINT; 0. Call it from the main thread. Raises RunError where the service does not come up."""
    import ray
    from ray import serve

    from services.app import APP, build, http_options

    # replicas have another working directory: they are told where runs, registry and tokens are
    os.environ.setdefault("VIDMODELS_HOME", str(storage_folder()))
    prepare_environment()
    ray.init(
        address="local", num_cpus=_cores(settings), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR,
        configure_logging=False,
    )  # fmt: skip
    stop = _stop_at_signals()  # now: `ray.init` puts a handler of its own in place, which aborts
    try:
        serve.start(http_options=http_options(settings, host, port))
        serve.run(build(settings), name=APP, route_prefix="/")
        if _wait_until_ready(host, port, stop):
            _say(host, port, token)
        while not stop.wait(POLL_S):
            pass
        print("stopping", flush=True)
    finally:
        serve.shutdown()
        ray.shutdown()
    return 0


def _stop_at_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _cores(settings: ServiceSettings) -> int:
    """Logical cores of the local Ray: as many as the replicas ask for at their most, so that none waits for ever."""
    hosts = {model.host or model.source for model in settings.models or ()} or {"all"}
    # an update has the old and the new replicas of a host at the same time
    computing = sum(2 * settings.host_of(word).max_replicas * settings.host_of(word).cpus for word in hosts)
    decoding = settings.decoder.max_replicas * settings.decoder.cpus
    return max(4, os.cpu_count() or 1, int(computing + decoding + settings.gateways + 2))


def _wait_until_ready(host: str, port: int, stop: threading.Event) -> bool:
    """Wait for the first model; False where the service is to stop before. Raises RunError where none can be served."""
    address, last = f"{_address(host, port)}/readyz", ""
    until = time.monotonic() + 600
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(address, timeout=10).close()
            return True
        except urllib.error.HTTPError as error:
            last = error.read().decode(errors="replace")
        except OSError as error:
            last = str(error)
        if stop.wait(POLL_S):
            return False
    raise RunError(f"no model was served within 10 minutes: {last[:300]}")


def _say(host: str, port: int, token: str) -> None:
    address = _address(host, port)
    print(
        f"serving at {address}; open {address}/#token={token}\n\n"
        f"  export TOKEN={token}\n"
        f'  curl -H "Authorization: Bearer $TOKEN" {address}/v1/models\n'
        f'  curl -H "Authorization: Bearer $TOKEN" -F model=NAME -F video=@clip.mp4 {address}/v1/classify\n',
        flush=True,
    )


def _address(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
