"""Decoding in a child process with limits on memory and time, for videos that may kill their decoder.

Parent and child speak through a pipe: one line of JSON, then raw bytes. Nothing that the child says is executed.
T frames, H height, W width, C colours.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from vidmodels.core.errors import MediaError, MediaLimitError, VidmodelsError
from vidmodels.data.decode import Frames
from vidmodels.data.frames import open_sample
from vidmodels.data.probe import UNTRUSTED, Limits, VideoInfo

MEMORY_BYTES = 3 << 30
CPU_SECONDS = 30
WALL_SECONDS = 60.0
"""What a child may use before it is killed."""
_HEADER_BYTES = 1 << 20


def probe_untrusted(uri: str, limits: Limits = UNTRUSTED, fps: float | None = None) -> VideoInfo:
    """`probe` in a child process; fps: of a folder of pictures. Raises MediaError, also where the child dies, and
    MediaLimitError."""
    header, _ = _call(uri, {"do": "probe", "uri": uri, "fps": fps, "limits": dataclasses.asdict(limits)}, 0)
    try:
        return VideoInfo(**header["info"])
    except (KeyError, TypeError) as error:
        raise MediaError(f"{uri}: its decoder gave a broken answer: replace the file") from error


def read_untrusted(uri: str, times: Sequence[float], limits: Limits = UNTRUSTED) -> Frames:
    """`VideoReader.read` in a child process. Raises MediaError, also where the child dies, and MediaLimitError."""
    return read_many_untrusted(uri, [times], limits)[0]


def read_many_untrusted(
    uri: str, requests: Sequence[Sequence[float]], limits: Limits = UNTRUSTED, fps: float | None = None
) -> list[Frames]:
    """`read_many` of a video, a picture or a folder of pictures at `fps` in a child process; errors as in `read_untrusted`."""
    lists = [[float(time) for time in times] for times in requests]
    order = {"do": "read", "uri": uri, "fps": fps, "limits": dataclasses.asdict(limits), "times": lists}
    header, body = _call(uri, order, limits.decoded_bytes)
    count = sum(len(times) for times in lists)
    try:
        height, width, repeated = int(header["height"]), int(header["width"]), [int(r) for r in header["repeated"]]
        pixels = np.frombuffer(body, np.uint8, count * height * width * 3).reshape(count, height, width, 3)
        stamps = np.frombuffer(body, np.float64, count, offset=pixels.size)
        if len(repeated) != len(lists):
            raise ValueError("one number for each request")
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"{uri}: its decoder gave a broken answer: replace the file") from error
    cuts = np.cumsum([len(times) for times in lists])[:-1]
    parts = zip(np.split(pixels, cuts), np.split(stamps, cuts), repeated)
    return [Frames(part.copy(), stamp.copy(), again) for part, stamp, again in parts]


def read_audio_untrusted(uri: str, start: float, end: float, rate: int | None = None, limits: Limits = UNTRUSTED) -> np.ndarray:
    """`VideoReader.read_audio` in a child process; errors as in `read_untrusted`."""
    order = {"do": "hear", "uri": uri, "limits": dataclasses.asdict(limits), "span": [float(start), float(end)], "rate": rate}
    header, body = _call(uri, order, limits.decoded_bytes)
    try:
        return np.frombuffer(body, np.float32).reshape(int(header["channels"]), -1).copy()
    except (KeyError, TypeError, ValueError) as error:
        raise MediaError(f"{uri}: its decoder gave a broken answer: replace the file") from error


def _call(uri: str, order: dict[str, Any], most: float) -> tuple[dict[str, Any], bytes]:
    """Give a child an order; its header and at most `most` bytes (and as much again for times) that follow."""
    command = [sys.executable, "-P", "-m", "vidmodels.data.sandbox"]
    return talk(command, json.dumps(order), uri, most)


def talk(command: list[str], order: str, uri: str, most: float, seconds: float = WALL_SECONDS) -> tuple[dict[str, Any], bytes]:
    """Run `command`, write `order` to it, read a line of JSON and the bytes that it announces.

    The child is killed after `seconds`. Raises MediaError and MediaLimitError that name `uri`.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=child_environment()
    )
    assert child.stdin is not None
    assert child.stdout is not None
    late = threading.Event()

    def end() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        header, body = _answer(child.stdin, child.stdout, order, most)
    finally:
        # an answer that is complete or too long needs the child no more; a dead one has its exit code already
        timer.cancel()
        child.stdout.close()
        try:
            code = child.wait(1.0)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
    if late.is_set():
        raise MediaLimitError(f"{uri} took more than {seconds:g} s to decode, the limit: give a shorter video")
    if header is None or body is None:
        raise _death(uri, code)
    if "error" in header:
        kind = MediaLimitError if header.get("kind") == "limit" else MediaError
        raise kind(str(header["error"])[:2000])
    return header, body


def _answer(stdin: IO[bytes], stdout: IO[bytes], order: str, most: float) -> tuple[dict[str, Any] | None, bytes | None]:
    """The child's header and body; None for what it did not say."""
    try:
        stdin.write(order.encode())
        stdin.close()
    except BrokenPipeError:
        pass  # it died before it listened; its exit code tells
    try:
        header = json.loads(stdout.readline(_HEADER_BYTES))
        size = int(header.get("bytes", 0))
    except (ValueError, AttributeError, TypeError):
        return None, None
    if not 0 <= size <= 2 * most:
        return header, None if size else b""
    body = stdout.read(size)
    return header, body if len(body) == size else None


def _death(uri: str, code: int) -> MediaError:
    if code == -signal.SIGXCPU:
        return MediaLimitError(f"{uri} took more than {CPU_SECONDS} s of CPU time, the limit: give a shorter video")
    if code < 0:
        return MediaError(f"{uri} killed its decoder (signal {-code}): replace the file")
    return MediaError(f"{uri}: its decoder ended without an answer (exit code {code}): replace the file")


def child_environment() -> dict[str, str]:
    """The parent's environment, one thread for everything, and this package found where the parent found it."""
    home = str(Path(__file__).resolve().parents[2])
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(paths)}


# -- the child -------------------------------------------------------------------------------------------------------


def restrict() -> None:
    """Put this process under the limits of memory, CPU time, file size and core dumps."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer(order: dict[str, Any], out: IO[bytes]) -> None:
    """Do what the parent asks and write the answer, an error of ours included."""
    limits = Limits(**order["limits"])
    try:
        with open_sample(order["uri"], order.get("fps"), limits) as video:
            if order["do"] == "probe":
                _write(out, {"info": dataclasses.asdict(video.info)})
                return
            if order["do"] == "hear":
                samples = video.read_audio(order["span"][0], order["span"][1], order["rate"])
                _write(out, {"channels": len(samples), "bytes": samples.nbytes}, [samples])
                return
            results = video.read_many(order["times"])
            size = {"height": video.info.height, "width": video.info.width}
        blocks = [r.frames for r in results] + [r.times for r in results]
        _write(out, {**size, "repeated": [r.repeated for r in results], "bytes": sum(b.nbytes for b in blocks)}, blocks)
    except MediaLimitError as error:
        _write(out, {"error": str(error), "kind": "limit"})
    except VidmodelsError as error:
        _write(out, {"error": str(error), "kind": "media"})
    except MemoryError:
        message = f"{order['uri']} needs more than {MEMORY_BYTES >> 30} GB of memory, the limit: give a smaller video"
        _write(out, {"error": message, "kind": "limit"})


def _write(out: IO[bytes], header: dict[str, Any], blocks: Sequence[np.ndarray] = ()) -> None:
    out.write(json.dumps(header).encode() + b"\n")
    for block in blocks:
        if block.size:
            out.write(np.ascontiguousarray(block).data.cast("B"))
    out.flush()


if __name__ == "__main__":
    restrict()
    answer(json.loads(sys.stdin.buffer.read()), sys.stdout.buffer)
