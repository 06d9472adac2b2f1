"""Requests that are wrong on purpose, and the statuses that may answer them: uploads, addresses, tokens, numbers and texts."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from services.tokens import TokenFile
from tests.services.lab import Lab

MARK = "vidmodels-canary"
"""In the names of files that attacks try to write."""
BOUNDARY = "frontier"


@dataclass(frozen=True)
class Attack:
    """One request.

    send: makes it, and gives the response, or only its status; wanted: statuses that may answer it; field: path that the
    problem has to name, where that is said.
    """

    group: str
    name: str
    send: Callable[[Lab], httpx.Response | int]
    wanted: frozenset[int] | set[int]
    field: str | None = None

    def wrong(self, response: httpx.Response | int) -> str:
        """What is not as it should be, or nothing."""
        status = response if isinstance(response, int) else response.status_code
        if status not in self.wanted:
            shown = "" if isinstance(response, int) else response.text[:200]
            return f"status {status}, not {sorted(self.wanted)} {shown}"
        if isinstance(response, int) or status < 400:
            return ""
        try:
            error = response.json()["error"]
            named, typed = error.get("field"), {"code", "message", "request_id"} <= set(error)
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"no typed problem: {response.text[:200]}"
        if not typed or len(error["message"]) > 1000 or "/tmp/" in error["message"]:
            return f"the problem lacks a part, is long, or tells of our files: {response.text[:300]}"
        return "" if self.field is None or named == self.field else f"it names the field {named!r}, not {self.field!r}"

    @classmethod
    def upload(
        cls, group: str, name: str, content: bytes, filename: str, wanted: set[int], data: dict[str, str] | None = None
    ) -> Attack:
        """A form with a file."""

        def send(lab: Lab) -> httpx.Response:
            return httpx.post(
                f"{lab.url}/v1/classify", headers=lab.headers, timeout=60, data={"model": "moves", **(data or {})},
                files={"video": (filename, content, "video/mp4")},
            )  # fmt: skip

        return cls(group, name, send, wanted)

    @classmethod
    def json(
        cls, group: str, name: str, body: Any, wanted: set[int], field: str | None = None, path: str = "/v1/classify"
    ) -> Attack:
        """A body of JSON, which may hold what JSON has no word for."""

        def send(lab: Lab) -> httpx.Response:
            headers = {**lab.headers, "content-type": "application/json"}
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return httpx.post(f"{lab.url}{path}", headers=headers, content=content, timeout=60)

        return cls(group, name, send, wanted, field)

    @classmethod
    def raw(cls, group: str, name: str, kind: str, content: Any, wanted: set[int]) -> Attack:
        """A body as it is; content: bytes, or a function of the lab that makes an iterator of them."""

        def send(lab: Lab) -> httpx.Response:
            headers = {**lab.headers, "content-type": kind}
            found = content(lab) if callable(content) else content
            return httpx.post(f"{lab.url}/v1/classify?model=moves", headers=headers, content=found, timeout=60)

        return cls(group, name, send, wanted)

    @classmethod
    def ask(
        cls, group: str, name: str, method: str, path: str, wanted: set[int], headers: dict[str, str] | None = None
    ) -> Attack:
        """A request without a body; headers: instead of a good token."""

        def send(lab: Lab) -> httpx.Response:
            found = lab.headers if headers is None else headers
            return httpx.request(method, f"{lab.url}{path}", headers=found, timeout=60)

        return cls(group, name, send, wanted)


# -- V6: uploads ------------------------------------------------------------------------------------------------------


def uploads(lab: Lab) -> Iterator[Attack]:
    """Too much, cut off, or with names that lead elsewhere."""
    video = lab.video.read_bytes()
    yield Attack.upload("V6", "over the limit with its length", bytes(31_000_000), "x.mp4", {413})
    yield Attack.raw(
        "V6", "over the limit without its length", "video/mp4", lambda _: (bytes(1_000_000) for _ in range(40)), {413}
    )
    yield Attack("V6", "a length and then nothing", _stalled, {408})
    yield Attack.raw("V6", "another type", "text/html", b"<p>", {415})
    yield Attack.raw("V6", "no type", "", video, {415})
    yield Attack.raw("V6", "a type of 8,000 letters", "video/" + "x" * 8000, video, {200, 415})
    yield Attack.raw("V6", "a ZIP", "video/mp4", b"PK\x03\x04" + bytes(3000), {422})
    yield Attack.raw("V6", "a pickle", "video/mp4", b"\x80\x04cos\nsystem\n(S'true'\ntR.", {422})
    yield Attack.raw("V6", "nothing", "video/mp4", b"", {422})
    fields = {f"field{number}": "x" for number in range(10_000)}
    yield Attack.upload("V6", "10,000 fields", video, "x.mp4", {422}, fields)
    yield Attack.upload("V6", "a field of 2 MB", video, "x.mp4", {413}, {"stride": "1" * 2_000_000})
    for name in (
        f"../../{MARK}",
        f"/tmp/{MARK}.mp4",
        f"C:\\{MARK}.mp4",
        f"..%2f..%2f{MARK}",
        "n" * 3000,
        "a\0b.mp4",
        "‮4pm.exe",
    ):
        yield Attack.upload("V6", f"a file called {name[:30]!r}", video, name, {200})
    yield Attack.upload("V6", "a file whose name has 5,000 letters", video, "n" * 5000, {400})
    for text in (
        b"",
        b"--",
        b"--frontier",
        b"--frontier\r\n\r\n",
        b'--frontier\r\nContent-Disposition: form-data; name="video"',
    ):
        yield Attack.raw("V6", f"the form {text!r}", f"multipart/form-data; boundary={BOUNDARY}", text, {400, 422})
    yield Attack.raw("V6", "a boundary of 10,000 letters", f"multipart/form-data; boundary={'b' * 10_000}", b"--b", {400, 422})
    for path in ("../secret.mp4", "/etc/passwd", "link", f"a/../../{MARK}", "a\\b", "a\0b", "./x", "", "n" * 5000):
        yield Attack.json("V6", f"the path {path[:30]!r}", {"model": "moves", "uri": f"clips:{path}"}, {422}, "uri")


def _stalled(lab: Lab) -> int:
    """The status of an answer to a request whose body never comes."""
    head = (
        f"POST /v1/classify?model=moves HTTP/1.1\r\nHost: x\r\nAuthorization: {lab.headers['Authorization']}\r\n"
        "Content-Type: video/mp4\r\nContent-Length: 1000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", lab.port), 60) as connection:
        connection.sendall(head.encode() + b"x")
        return int(connection.recv(100).split()[1])


# -- V7: addresses inside ---------------------------------------------------------------------------------------------

INSIDE = (
    "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x", "https://0.0.0.0/x", "https://169.254.169.254/latest",
    "https://2130706433/x", "https://0x7f000001/x", "https://0177.0.0.1/x", "https://[::ffff:127.0.0.1]/x",
    "https://localhost.localdomain/x", "http://127.0.0.1/x", "https://127.0.0.1:8443/x", "https://me@127.0.0.1/x",
    "https://127.0.0.1@example.com/x", "https://example.com/x", "HTTPS://LOCALHOST/x", "https:///x", "https://", "http://",
    "https://[::1/x", "https://exa mple/x", "https://\u212aelvin.example/x", "file:///etc/passwd", "ftp://127.0.0.1/x",
    "gopher://127.0.0.1/x", "s3://bucket/x", "https://127.1/x", "https://127.0.0.1%2f@example.com/x",
)  # fmt: skip


def addresses(lab: Lab) -> Iterator[Attack]:
    """Names and numbers of this machine and of the network around it, most of them on the list of allowed hosts."""
    for url in INSIDE:
        yield Attack.json("V7", url, {"model": "moves", "uri": url}, {422}, "uri")


# -- V9: tokens, and what is not public -------------------------------------------------------------------------------

NOTHING = (
    "/v1/models/..%2f..%2fetc", "/api/jobs/", "/api/serve/applications/", "/v2/repository/index", "/docs", "/page/../x",
    "/page/%2e%2e/settings.py", "/page//etc/passwd", "/.env", "/v1/tokens", "/admin",
)  # fmt: skip
"""Paths at which nothing is."""


def access(lab: Lab) -> Iterator[Attack]:
    """No token, a wrong one, one of somebody else; routes that manage models, or that Ray has."""
    tokens = TokenFile(lab.folder / "tokens.json")
    old, _ = tokens.create("old", days=-1)
    other, _ = tokens.create("other")
    slow, _ = tokens.create("slow", per_minute=1)
    shown = {
        "none": {}, "an empty one": {"Authorization": "Bearer"}, "a wrong one": {"Authorization": "Bearer vm_00000000_x"},
        "half of one": {"Authorization": f"Bearer {lab.token[:-3]}"}, "a long one": {"Authorization": f"Bearer {lab.token}x"},
        "an expired one": {"Authorization": f"Bearer {old}"}, "another kind": {"Authorization": f"Basic {lab.token}"},
        "8,000 letters": {"Authorization": "Bearer " + "x" * 8000}, "in the address only": {},
    }  # fmt: skip
    for name, headers in shown.items():
        for path in ("/v1/models", "/metrics", f"/v1/models?token={lab.token}"):
            yield Attack.ask("V9", f"the token is {name}", "GET", path, {401}, headers)
        yield Attack.ask("V9", f"the token is {name}", "POST", "/v1/classify", {401}, headers)
    made = httpx.post(f"{lab.url}/v1/streams", json={"model": "moves"}, headers=lab.headers, timeout=60).json()["id"]
    stranger = {"Authorization": f"Bearer {other}"}
    for method, path in (("GET", "/events"), ("DELETE", ""), ("POST", "/frames?time=0"), ("POST", "/video?time=0")):
        wanted = {404} if method != "POST" else {404, 415}
        yield Attack.ask("V9", "a stranger's stream", method, f"/v1/streams/{made}{path}", wanted, stranger)
        yield Attack.ask("V9", "no stream", method, f"/v1/streams/{'0' * 32}{path}", wanted)
        yield Attack.ask("V9", "no name of a stream", method, f"/v1/streams/..%2f..%2fetc{path}", {404, 422})
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        yield Attack.ask("V9", "managing models", method, "/v1/models/moves", {405})
        yield Attack.ask("V9", "managing models", method, "/v1/models", {405})
    for path in NOTHING:
        yield Attack.ask("V9", path, "GET", path, {404})
    yield Attack.ask("V9", "the first of a slow token", "GET", "/v1/models", {200}, {"Authorization": f"Bearer {slow}"})
    yield Attack.ask("V9", "the second of a slow token", "GET", "/v1/models", {429}, {"Authorization": f"Bearer {slow}"})


# -- V10: numbers and texts -------------------------------------------------------------------------------------------


def _box(**values: Any) -> dict[str, Any]:
    return {"time": 1, "x1": 1, "y1": 1, "x2": 9, "y2": 9, **values}


def values(lab: Lab) -> Iterator[Attack]:
    """Boxes that are none, numbers out of all bounds, texts of every kind."""
    numbers = {
        "NaN": float("nan"),
        "Infinity": float("inf"),
        "1e300": 1e300,
        "text": "x",
        "null": None,
        "a list": [],
        "true": {},
    }
    for name, value in numbers.items():
        for key in ("time", "x1", "y2"):
            body = {"model": "moves", "uri": "clips:a.mp4", "boxes": [_box(), _box(**{key: value})]}
            yield Attack.json("V10", f"{key} is {name}", body, {422}, f"boxes.1.{key}", "/v1/detect-actions")
    boxes = {"inverted": (_box(x1=9, x2=1), "boxes.0"), "of no area": (_box(y2=1), "boxes.0"), "of a negative time":
             (_box(time=-1), "boxes.0.time"), "with more": (_box(z=1), "boxes.0.z")}  # fmt: skip
    for name, (box, field) in boxes.items():
        body = {"model": "moves", "uri": "clips:a.mp4", "boxes": [box]}
        yield Attack.json("V10", f"a box {name}", body, {422}, field, "/v1/detect-actions")
    body = {"model": "moves", "uri": "clips:a.mp4", "boxes": []}
    yield Attack.json("V10", "no boxes", body, {422}, "boxes", "/v1/detect-actions")
    body = {"model": "moves", "uri": "clips:a.mp4", "boxes": [_box()] * 300}
    yield Attack.json("V10", "300 boxes at once", body, {422}, "boxes", "/v1/detect-actions")
    million = b'{"model": "moves", "uri": "clips:a.mp4", "boxes": [' + b"0," * 1_000_000 + b"0]}"
    yield Attack.json("V10", "a million boxes", million, {413}, None, "/v1/detect-actions")
    plain = {"model": "moves", "uri": "clips:a.mp4"}
    wrong = {"num_clips": (0, -1, 101, 1e300, 2.5, "many"), "num_crops": (0, 2, -3), "stride": (0, -1, 1e309, "NaN"),
             "top": (0, -5, 10**30)}  # fmt: skip
    for key, each in wrong.items():
        for value in each:
            yield Attack.json("V10", f"{key} is {value}", {**plain, key: value}, {422}, key)
    for text in ("", "é", "模型", "\u202eelif", "😀" * 50, "a\0b", "x" * 4097, "../moves", "moves\n"):
        yield Attack.json("V10", f"the model {text[:20]!r}", {**plain, "model": text}, {404, 422}, "model")
    yield Attack.json("V10", "a name of 4,097 letters", {**plain, "uri": "clips:" + "x" * 4097}, {422}, "uri")
    yield Attack.json("V10", "deep JSON", b'{"a":' * 50 + b"1" + b"}" * 50, {422})
    yield Attack.json("V10", "a number of 10,000 digits", b'{"model": "moves", "top": ' + b"9" * 10_000 + b"}", {400, 422})
    yield Attack.json("V10", "half a surrogate", b'{"model": "\\ud800"}', {404, 422})
    yield Attack.json("V10", "a key twice", b'{"model": "moves", "model": "x", "uri": "clips:a"}', {404}, "model")
    for text in ("-1", "nan", "1e10", "", "x"):
        path = f"/v1/streams/{'0' * 32}/frames?time={text}"
        yield Attack.ask("V10", f"a frame at {text!r}", "POST", path, {404, 415, 422})
    made = httpx.post(f"{lab.url}/v1/streams", json={"model": "moves"}, headers=lab.headers, timeout=60).json()["id"]
    for text in ("²", "9" * 5000, "-1"):  # a digit that is no number, one that is too long, and none
        yield Attack("V10", f"the last event {text[:9]!r}", lambda lab, text=text: _events(lab, made, text), {200})


def _events(lab: Lab, stream: str, last: str) -> int:
    """The status of an answer whose end is not waited for."""
    headers = {**lab.headers, "Last-Event-ID": last.encode("latin-1")}
    with httpx.stream("GET", f"{lab.url}/v1/streams/{stream}/events", headers=headers, timeout=60) as response:  # type: ignore[arg-type]
        return response.status_code


GROUPS = (uploads, addresses, access, values)
