"""A client of the HTTP service: what its routes answer, its problems as exceptions, patience where it is overloaded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from vidmodels.core.errors import ConfigError, MissingExtraError, ServiceError

DEFAULT_URL = "http://127.0.0.1:8000"
BUSY = (429, 503)


class Answer(dict[str, Any]):
    """The body of an answer; version: NAME/VERSION of the model that gave it, which `vidmodels lineage` follows."""

    version: str = ""
    request_id: str = ""


class Client:
    """Talks to one service. Use it as a context, or `close` it.

    url: default $VIDMODELS_URL, else this machine's; token: default $VIDMODELS_TOKEN. timeout: seconds of a request.
    patience: seconds for which a service that is overloaded is asked again, after the time that it says.

    Every method raises ServiceError for a request that the service refuses, and where it does not answer.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, timeout: float = 150.0, patience: float = 30.0
    ) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtraError("the client needs httpx: pip install 'vidmodels[serve]'") from None
        self.url = (url or os.environ.get("VIDMODELS_URL") or DEFAULT_URL).rstrip("/")
        self._patience = patience
        token = token or os.environ.get("VIDMODELS_TOKEN")
        if not token:
            raise ConfigError("no token was given: set VIDMODELS_TOKEN, or create one with `vidmodels token create NAME`")
        self._http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> list[dict[str, Any]]:
        """The models that are served."""
        return self._ask("GET", "/v1/models")["models"]

    def model(self, name: str) -> dict[str, Any]:
        """What the service knows of one of them: version, labels, input, where it comes from."""
        return self._ask("GET", f"/v1/models/{name}")

    def classify(self, model: str, video: str | Path, **options: Any) -> Answer:
        """Classes of a video, of the whole and over time.

        video: a file, or STORE:PATH of a store that the service knows. options: num_clips, num_crops, stride, top.
        """
        return self.answer("classify", model, video, **options)

    def features(self, model: str, video: str | Path, **options: Any) -> Answer:
        """Embeddings of a video over time. options: num_clips, stride."""
        return self.answer("features", model, video, **options)

    def explain(self, model: str, video: str | Path, **options: Any) -> Answer:
        """Where and when the evidence for a class lies, with pictures. options: target, windows, frames."""
        return self.answer("explain", model, video, **options)

    def detect_actions(self, model: str, video: str | Path, boxes: Sequence[Mapping[str, Any]], **options: Any) -> Answer:
        """What each person does. boxes: `time` (seconds), `x1 y1 x2 y2` (pixels), `person`. options: step, top, threshold."""
        return self.answer("detect-actions", model, video, boxes=list(boxes), **options)

    def stream(self, model: str, **options: Any) -> Stream:
        """A new stream of pictures or videos, for use as a context. options: fps (of the source), stride (seconds), top."""
        given = {key: value for key, value in options.items() if value is not None}
        return Stream(self, self._ask("POST", "/v1/streams", json={"model": model, **given}))

    def answer(self, task: str, model: str, video: str | Path, **options: Any) -> Answer:
        """The answer of /v1/TASK about a video."""
        given = {key: value for key, value in options.items() if value is not None}
        path = f"/v1/{task}"
        if not Path(video).is_file() and _names_store(str(video)):
            return self._ask("POST", path, json={"model": model, "uri": str(video), **given})
        if not Path(video).is_file():
            raise ConfigError(f"there is no file {video}: give the path of a video, or STORE:PATH of the service")
        data = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
        return self._ask("POST", path, video=Path(video), data={"model": model, **data})

    def _ask(self, method: str, path: str, video: Path | None = None, **request: Any) -> Answer:
        import httpx

        until = time.monotonic() + self._patience
        while True:
            try:
                with ExitStack() as stack:
                    if video is not None:
                        content = stack.enter_context(open(video, "rb"))  # opened anew for every try, and streamed
                        request["files"] = {"video": (video.name, content, "application/octet-stream")}
                    response = self._http.request(method, path, **request)
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                raise ServiceError(f"the service at {self.url} does not answer ({reason}): is it running?") from None
            wait = _seconds(response.headers.get("retry-after"))
            if response.status_code in BUSY and time.monotonic() + wait < until:
                time.sleep(wait)
                continue
            return _answer(response)


class Stream:
    """A stream of a service, closed at the end of its context. window, hop: seconds of a window, and from one to the next.

    Its methods raise ServiceError as those of the client.
    """

    def __init__(self, client: Client, about: Mapping[str, Any]) -> None:
        self._client = client
        self.id: str = about["id"]
        self.window: float = about["window"]
        self.hop: float = about["hop"]

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def push(self, time: float, picture: bytes) -> list[dict[str, Any]]:
        """The answers that a picture (a JPEG or PNG file's bytes) at a time in seconds leads to."""
        headers = {"content-type": "image/jpeg"}
        return self._ask("POST", "/frames", params={"time": time}, content=picture, headers=headers)["results"]

    def push_video(self, time: float, video: str | Path) -> list[dict[str, Any]]:
        """The answers that the frames of a video file, which begins at a time in seconds, lead to.

        After an error it may be pushed again with the same time: what was taken already is skipped.
        """
        if not Path(video).is_file():
            raise ConfigError(f"there is no file {video}: give the path of a video")
        return self._ask("POST", "/video", params={"time": time}, video=Path(video))["results"]

    def events(self, after: int = -1) -> Iterator[dict[str, Any]]:
        """Answers with a number above `after` as they come, until the stream is closed; for a thread of its own."""
        import httpx

        address = f"/v1/streams/{self.id}/events"
        try:
            with self._client._http.stream("GET", address, params={"after": after}) as response:
                if response.status_code >= 400:
                    response.read()
                    _answer(response)
                yield from _rows(response.iter_lines())
        except httpx.HTTPError as error:
            raise ServiceError(f"the events of the stream ended early ({str(error) or type(error).__name__})") from None

    def close(self) -> None:
        """End the stream; one that the service has dropped already is closed."""
        try:
            self._ask("DELETE", "")
        except ServiceError as error:
            if error.code != "unknown_stream":
                raise

    def _ask(self, method: str, path: str, **request: Any) -> Answer:
        return self._client._ask(method, f"/v1/streams/{self.id}{path}", **request)


def _rows(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The answers in server-sent events. Raises ServiceError where the stream was lost."""
    kind = ""
    for line in lines:
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if kind == "problem":
                raise ServiceError(data["message"], code=data["code"])
            if kind == "end":
                return
            if not kind:
                yield data
        elif not line:
            kind = ""


def _answer(response: Any) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ServiceError(f"{response.url} answers with status {response.status_code} and no JSON: is it this service?")
    if response.status_code >= 400:
        error = body.get("error", {})
        raise ServiceError(
            str(error.get("message", f"{response.url} answers with status {response.status_code}")),
            code=error.get("code"), status=response.status_code, field=error.get("field"), request_id=error.get("request_id"),
        )  # fmt: skip
    answer = Answer(body)
    answer.version = response.headers.get("x-model-version", "")
    answer.request_id = response.headers.get("x-request-id", "")
    return answer


def _names_store(video: str) -> bool:
    store, colon, path = video.partition(":")
    return bool(colon and path and store and "/" not in store) or video.startswith("https://")


def _seconds(text: str | None) -> float:
    """What Retry-After says, in seconds; 1 where it says nothing."""
    return float(text) if text and text.isdigit() else 1.0
