"""How many trials a cluster has room for, so that the workers inside each of them always get theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vidmodels.core.errors import RunError
from vidmodels.core.recipe import RunSection

DRIVER_CPUS = 0.1
"""Share of a core for the driver of a trial whose workers run elsewhere."""
MOST = 1000

Resources = Mapping[str, float]


def own_resources(run: RunSection) -> dict[str, float]:
    """What a trial's own process asks for: all it trains with (local), or a driver's share (ray)."""
    if run.backend == "ray":
        return {"CPU": DRIVER_CPUS}
    gpus = {"GPU": run.gpus_per_worker} if run.gpus_per_worker else {}
    return {"CPU": float(run.cpus_per_worker + run.decoders), **gpus}


def bundles(run: RunSection) -> list[dict[str, float]]:
    """What a trial asks for, each part on one node: its process and, under Ray, its workers and decoders."""
    if run.backend != "ray":
        return [own_resources(run)]
    gpus = {"GPU": run.gpus_per_worker} if run.gpus_per_worker else {}
    workers = [{"CPU": float(run.cpus_per_worker), **gpus}] * run.num_workers
    return [*workers, *[{"CPU": 1.0}] * max(1, run.decoders), own_resources(run)]


def trial_cores(run: RunSection) -> float:
    """Cores of one trial, all its processes together."""
    return sum(bundle["CPU"] for bundle in bundles(run))


def room_for(run: RunSection, nodes: Sequence[Resources]) -> int:
    """How many trials fit side by side on nodes with these resources, each part where it first fits, the largest first."""
    left = [dict(node) for node in nodes]
    wanted = sorted(bundles(run), key=lambda bundle: (-bundle.get("GPU", 0.0), -bundle["CPU"]))
    for count in range(MOST):
        if not all(_take(bundle, left) for bundle in wanted):
            return count
    return MOST


def slots(run: RunSection, nodes: Sequence[Resources], asked: int | None) -> int:
    """The trials to run at once. Raises RunError where not even one fits, or fewer than were asked for."""
    room = room_for(run, nodes)
    total = {name: sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU")}
    need = {name: sum(bundle.get(name, 0.0) for bundle in bundles(run)) for name in ("CPU", "GPU")}
    wanted = asked or 1
    if room < wanted:
        many = "a trial needs" if wanted == 1 else f"{wanted} trials at once need"
        raise RunError(
            f"{many} {wanted * need['CPU']:g} CPU and {wanted * need['GPU']:g} GPU, in parts that fit a node, and the "
            f"cluster's nodes ({len(nodes)}) have {total['CPU']:g} and {total['GPU']:g}: ask for less with "
            "--run.num-workers, --run.cpus-per-worker, --run.gpus-per-worker, --run.decoders, --search.concurrent, or add nodes"
        )
    return asked or room


def _take(bundle: Resources, left: list[dict[str, float]]) -> bool:
    """Take a part from the first node that has room for it."""
    for node in left:
        if all(node.get(name, 0.0) >= amount - 1e-9 for name, amount in bundle.items()):
            for name, amount in bundle.items():
                node[name] -= amount
            return True
    return False
