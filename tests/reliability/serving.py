"""A real service under load and faults: each function measures one of its promises, prints it, and says what was broken."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services.camera import create, pictures
from tests.services.lab import Lab, pss, replicas, start_ray
from tests.services.load import Load, quantile

PARTS = (":gateway:gateway", ":decoder", ":streams", ":models")


@contextlib.contextmanager
def service(model: str = "slowfast_tiny", **settings: Any) -> Iterator[Lab]:
    """A service of this process, with a Ray of its own."""
    import ray

    with tempfile.TemporaryDirectory() as folder:
        start_ray()
        try:
            lab = Lab(Path(folder), model, **settings)
            lab.start()
            yield lab
            lab.stop()
        finally:
            ray.shutdown()


def soak(seconds: float = 600.0, clients: int = 32, warm_up: float = 60.0) -> list[str]:
    """Uploads from many clients at once: no error but 503, and memory that stays after it has warmed up."""
    with service() as lab:
        video = lab.video.read_bytes()
        warm = Load(lab, video, clients=clients).run(warm_up)
        parts = [_memory()]
        load = Load(lab, video, clients=clients)
        with load:
            for _ in range(2):
                time.sleep(seconds / 2)
                parts.append(_memory())
    before, half, after = (sum(part.values()) for part in parts)
    growth = 100 * (after - before) / before
    spread = [shot.seconds for shot in load.good]
    print(f"soak: {len(load.good)} answers and {len(load.refused)} refusals in {seconds:.0f} s at {clients} clients")
    print(f"  p50 {quantile(spread, 0.5):.2f} s, p99 {quantile(spread, 0.99):.2f} s; memory {before:.0f} -> {half:.0f} -> "
          f"{after:.0f} MB ({growth:+.1f} %): " + ", ".join(f"{part.rpartition(':')[2]} {parts[0][part]:.0f} -> "
          f"{parts[1][part]:.0f} -> {parts[2][part]:.0f}" for part in PARTS))  # fmt: skip
    return _broken(
        (not warm.failed and not load.failed, f"failed requests: {(warm.failed + load.failed)[:3]}"),
        (growth < 2, f"memory grew by {growth:.1f} %, the bound is 2"),
    )


def overload(seconds: float = 60.0, model: str = "x3d_s") -> list[str]:
    """Four times as many requests as can be answered: work goes on, the rest is refused at once, and then all is as before.

    The peak is what as many clients as the service takes are answered, the mean of before and after: the machine may be a
    shared one, whose speed changes.
    """
    with service(model, max_media=16) as lab:
        video = lab.video.read_bytes()
        Load(lab, video, clients=16).run(5)
        before = Load(lab, video, clients=16).run(seconds / 2).per_second(seconds / 2)
        load = Load(lab, video, rate=4 * before).run(seconds)
        time.sleep(5)
        later = [lab.ask(num_clips="1").status_code for _ in range(5)]
        after = Load(lab, video, clients=16).run(seconds / 2).per_second(seconds / 2)
    peak, goodput = (before + after) / 2, load.per_second(seconds)
    waits = [shot.seconds for shot in load.refused] or [0.0]
    silent = [shot for shot in load.refused if not shot.retry_after]
    print(f"overload: peak {before:.2f} a second before, {after:.2f} after; at {4 * before:.1f} a second for {seconds:.0f} s "
          f"{goodput:.2f} answered ({100 * goodput / peak:.0f} %), {len(load.refused)} refused")  # fmt: skip
    print(f"  a refusal takes p50 {1000 * quantile(waits, 0.5):.0f} ms, p95 {1000 * quantile(waits, 0.95):.0f} ms; an answer "
          f"p50 {quantile([shot.seconds for shot in load.good], 0.5):.2f} s")  # fmt: skip
    return _broken(
        (not load.failed, f"failed requests: {load.failed[:3]}"),
        (goodput >= 0.85 * peak, f"goodput is {100 * goodput / peak:.0f} % of the peak, the bound is 85"),
        (not silent, f"{len(silent)} refusals have no Retry-After"),
        (quantile(waits, 0.95) <= 0.25, f"p95 of refusals is {1000 * quantile(waits, 0.95):.0f} ms, the bound is 250"),
        (later == [200] * 5, f"5 s later: {later}"),
    )


def kills(seconds: float = 120.0, every: float = 10.0) -> list[str]:
    """Two replicas of the model at half the load of one, of which one is killed again and again: no failed request."""
    with service(host={"min_replicas": 2, "max_replicas": 2}) as lab:
        video = lab.video.read_bytes()
        rate = _rate_of_one(lab, video) / 2
        killed = 0
        with Load(lab, video, rate=rate) as load:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(every)
                os.kill(replicas(":models")[killed % 2 - 1], signal.SIGKILL)
                killed += 1
            time.sleep(5)
    bad = load.failed + load.refused
    longest = max(shot.seconds for shot in load.good)
    print(f"kills: {killed} replicas killed in {seconds:.0f} s at {rate:.1f} requests a second: {len(load.good)} answers, "
          f"{len(bad)} failed; the longest took {longest:.1f} s")  # fmt: skip
    return _broken((not bad, f"failed requests: {bad[:3]}"), (killed >= seconds / every - 1, f"only {killed} kills"))


def stream(frames: int = 10_000, early: int = 200) -> list[str]:
    """A long stream of small frames: its memory at the end is that of its beginning, and so is the time of a frame."""
    import httpx

    with service("c2d_tiny") as lab, httpx.Client(base_url=lab.url, headers=lab.headers, timeout=60) as client:
        (host,) = replicas(":streams")
        jpegs = [picture for _, picture in pictures(64)]
        address = f"/v1/streams/{create(lab, stride=1.0)['id']}/frames"
        took, memory, rows = [], 0.0, 0
        for number in range(frames):
            begun = time.perf_counter()
            answer = client.post(
                address, params={"time": number / 12}, content=jpegs[number % 64], headers={"content-type": "image/jpeg"}
            )
            answer.raise_for_status()
            took.append(time.perf_counter() - begun)
            rows += len(answer.json()["results"])
            if number == early:
                memory = pss(host)
        end = pss(host)
    first, last = (1000 * statistics.median(part) for part in (took[:100], took[-100:]))
    growth = 100 * (end - memory) / memory
    print(f"stream: {frames} frames, {rows} results; memory {memory:.0f} MB at frame {early}, {end:.0f} MB at the end "
          f"({growth:+.1f} %); a frame {first:.1f} ms at first, {last:.1f} ms at last")  # fmt: skip
    return _broken(
        (abs(growth) <= 5, f"memory changed by {growth:.1f} %, the bound is 5"),
        (abs(last / first - 1) <= 0.25, f"a frame took {first:.1f} ms and then {last:.1f} ms, the bound is 25 %"),
        (rows >= frames / 12 - 4, f"only {rows} results"),
    )


def update() -> list[str]:
    """A new version, a damaged one and another new one under load: no failed request, and the damaged one answers none."""
    from pipelines.common.resolvers import resolve

    with service("c2d_tiny") as lab, Load(lab, lab.video.read_bytes(), clients=2) as load:
        lab.register(seed=1)
        _until(lambda: "moves/2" in load.versions)
        lab.register(seed=2)
        resolve("models:/moves@live", lab.store).path.write_bytes(b"no weights")
        _until(lambda: bool(lab.get("/v1/models").json()["failures"]))
        lab.register(seed=3)
        _until(lambda: load.versions[-1] == "moves/4")
    bad = load.failed + load.refused
    order = list(dict.fromkeys(load.versions))
    print(f"update: {len(load.good)} answers by {', '.join(order)}; {len(bad)} failed")
    return _broken(
        (not bad, f"failed requests: {bad[:3]}"), (order == ["moves/1", "moves/2", "moves/4"], f"answers came from {order}")
    )


def scale(most: float = 180.0) -> list[str]:
    """Replicas of decoders and of a model come with load and go after it, each kind by its own; no request fails."""
    kinds = {"decoders": ":decoder", "models": ":models"}
    up = {"min_replicas": 1, "max_replicas": 2, "cpus": 0.5}

    peaks = dict.fromkeys(kinds, 0)  # each by its own: one may have gone again when the other comes

    def counted() -> dict[str, int]:
        found = {kind: len(replicas(part)) for kind, part in kinds.items()}
        peaks.update({kind: max(peaks[kind], count) for kind, count in found.items()})
        return found

    with service(host={**up, "target_ongoing": 2}, decoder={**up, "children": 2}) as lab:
        before = counted()
        with Load(lab, lab.video.read_bytes(), clients=24) as load:
            begun = time.monotonic()
            _until(lambda: bool(counted()) and min(peaks.values()) == 2, most, lambda: f"under load: {peaks}")
            rise = time.monotonic() - begun
        begun = time.monotonic()
        _until(lambda: max(counted().values()) == 1, most, lambda: f"after the load: {counted()}")
        fall = time.monotonic() - begun
        after = lab.ask().status_code
    print(f"scale: one replica of each, two after {rise:.0f} s of load, one again {fall:.0f} s after it; {len(load.good)} "
          f"answers, {len(load.refused)} refusals")  # fmt: skip
    return _broken(
        (before == {"decoders": 1, "models": 1}, f"before the load there were {before}"),
        (not load.failed, f"failed requests: {load.failed[:3]}"),
        (after == 200, f"afterwards a request has status {after}"),
    )


PROMISES = {"soak": soak, "overload": overload, "kills": kills, "stream": stream, "update": update, "scale": scale}


def _rate_of_one(lab: Lab, video: bytes) -> float:
    """Requests a second of one replica: two share the cores of this machine, so that it is measured with one busy client."""
    load = Load(lab, video, clients=1).run(10)
    assert not load.failed, load.failed[:3]
    return load.per_second(10)


def _memory() -> dict[str, float]:
    """Megabytes of the replicas of each kind."""
    return {part: sum(pss(pid) for pid in replicas(part)) for part in PARTS}


def _until(condition, seconds: float = 300.0, seen=lambda: "") -> None:
    """Wait until it holds; seen: what to say was there where it never does."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"it did not happen {seen()}"
        time.sleep(0.2)


def _broken(*promises: tuple[bool, str]) -> list[str]:
    return [words for kept, words in promises if not kept]
