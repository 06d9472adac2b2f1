"""Bodies of requests: a file streamed to the spool under a cap, and small fields or JSON beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from services.gateway.spool import Spool, SpoolFile
from services.problems import Problem
from services.settings import LimitSection

FILE_FIELD = "video"
MAX_FIELDS = 64
FILE_TYPES = ("video/", "image/", "application/octet-stream")


@dataclass
class Upload:
    """What a request brought. fields: as text or as JSON has them; file: None where there is none; filename: the client's."""

    fields: dict[str, Any] = field(default_factory=dict)
    file: SpoolFile | None = None
    filename: str = ""


@contextlib.asynccontextmanager
async def received(request: Request, spool: Spool, limits: LimitSection) -> AsyncIterator[Upload]:
    """The body of a request, read once: multipart/form-data with a file `video`, a JSON object, or the file alone.

    Fields in the address come first, then those of the body. The file goes when the context ends. Raises Problem.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    fields: dict[str, Any] = dict(request.query_params)
    body = _capped(request, limits)
    if kind == b"multipart/form-data":
        with spool.file() as target:
            upload = Upload(fields)
            await _multipart(body, options.get(b"boundary", b""), upload, target, limits)
            yield upload
    elif kind == b"application/json":
        yield Upload({**fields, **await _json(body, limits)})
    elif kind.decode("latin-1").startswith(FILE_TYPES):
        with spool.file() as target:
            async for part in body:
                target.write(part)
            if not target.size:
                raise Problem("invalid", "the body is empty: send a video", field=FILE_FIELD)
            yield Upload(fields, target, safe_name(request.headers.get("x-filename", "")))
    else:
        said = kind.decode("latin-1")[:80] or "nothing"
        raise Problem(
            "unsupported_media_type",
            f"the Content-Type is {said}: send multipart/form-data with a file {FILE_FIELD!r}, application/json, or a video",
        )


def safe_name(name: str) -> str:
    """The last part of a client's file name, printable and short: it is shown, and never used as a path."""
    last = unquote(name).replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter if letter.isprintable() else "?" for letter in last)[:100] or "upload"


async def _capped(request: Request, limits: LimitSection) -> AsyncIterator[bytes]:
    """The body in parts. Raises Problem where it is larger than the limit, or where nothing comes for too long."""
    most = int(limits.body_mb * 1e6)
    too_large = Problem("too_large", f"the body is larger than {limits.body_mb:g} MB, the limit: send a smaller video")
    declared = request.headers.get("content-length", "")
    if re.fullmatch("[0-9]{1,15}", declared) and int(declared) > most:
        raise too_large
    total, parts = 0, request.stream()
    while True:
        try:
            part = await asyncio.wait_for(anext(parts, None), limits.idle_s)
        except TimeoutError:
            raise Problem("upload_stalled", f"nothing came for {limits.idle_s:g} s: send the body again") from None
        except ClientDisconnect:
            raise Problem("bad_request", "the connection was closed before the body ended") from None
        if part is None:
            return
        total += len(part)
        if total > most:
            raise too_large
        yield part


async def _json(body: AsyncIterator[bytes], limits: LimitSection) -> dict[str, Any]:
    text = bytearray()
    async for part in body:
        text += part
        if len(text) > limits.json_kb * 1000:
            raise Problem("too_large", f"the JSON is larger than {limits.json_kb:g} KB, the limit")
    if _depth(text) > limits.json_depth:
        raise Problem("invalid", f"the JSON has more than {limits.json_depth} levels, the limit")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Problem("bad_request", f"the body is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise Problem("invalid", "the body is not a JSON object: send {...}")
    return found


def _depth(text: bytes | bytearray) -> int:
    """Levels of brackets outside of strings, before anything is parsed."""
    deepest = level = 0
    quoted = escaped = False
    for byte in text:
        if quoted:
            quoted, escaped = byte != 0x22 or escaped, byte == 0x5C and not escaped
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


class _Parts:
    """Collects what the multipart parser finds: the file into the spool, other parts as fields.

    The parser itself bounds the number and the size of a part's headers.
    """

    def __init__(self, upload: Upload, target: SpoolFile, limits: LimitSection) -> None:
        self._upload, self._target, self._most = upload, target, int(limits.json_kb * 1000)
        self._count = 0
        self.ended = False

    def callbacks(self) -> dict[str, Any]:
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end", "headers_finished", "end")
        return {f"on_{name}": getattr(self, f"_{name}") for name in names}

    def _part_begin(self) -> None:
        self._count += 1
        if self._count > MAX_FIELDS:
            raise Problem("invalid", f"the form has more than {MAX_FIELDS} fields, the limit")
        self._headers: dict[bytes, bytes] = {}
        self._key, self._value, self._data = bytearray(), bytearray(), bytearray()
        self._is_file = False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[bytes(self._key).lower()] = bytes(self._value)
        self._key, self._value = bytearray(), bytearray()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = b"filename" in options
        if not self._is_file:
            return
        if self._name != FILE_FIELD:
            raise Problem("invalid", f"the form has a file {self._name[:40]!r}: call it {FILE_FIELD!r}", field=self._name[:40])
        if self._upload.file is not None:
            raise Problem("invalid", "the form has two files: send one", field=FILE_FIELD)
        self._upload.file = self._target
        self._upload.filename = safe_name(options[b"filename"].decode("utf-8", "replace"))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._target.write(data[start:end])
            return
        self._data += data[start:end]
        if len(self._data) > self._most:
            raise Problem("too_large", f"the field {self._name[:40]!r} is larger than {self._most // 1000} KB, the limit")

    def _part_end(self) -> None:
        if not self._is_file:
            self._upload.fields[self._name] = self._data.decode("utf-8", "replace")
        elif not self._target.size:
            raise Problem("invalid", "the file is empty: send a video", field=FILE_FIELD)

    def _end(self) -> None:
        self.ended = True


async def _multipart(
    body: AsyncIterator[bytes], boundary: bytes, upload: Upload, target: SpoolFile, limits: LimitSection
) -> None:
    parts = _Parts(upload, target, limits)
    with _form_faults():
        parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
    async for data in body:
        with _form_faults():
            parser.write(data)
    if not parts.ended:
        raise Problem("bad_request", "the form is cut off: its last boundary is missing")


@contextlib.contextmanager
def _form_faults() -> Iterator[None]:
    from python_multipart.exceptions import FormParserError

    try:
        yield
    except (FormParserError, ValueError) as error:
        raise Problem("bad_request", f"the form cannot be read ({str(error)[:200]})") from None
