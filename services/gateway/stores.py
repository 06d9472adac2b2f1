"""Videos that a request names instead of sending them: paths of configured stores, and addresses of allowed hosts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from services.gateway.spool import Spool
from services.gateway.upload import safe_name
from services.problems import Problem
from services.settings import ServiceSettings
from vidmodels.core.errors import VidmodelsError
from vidmodels.data.storage import is_local, join, open_media

PART = 1 << 20


@contextlib.asynccontextmanager
async def named_video(uri: str, settings: ServiceSettings, spool: Spool) -> AsyncIterator[tuple[Path, str]]:
    """Where the video lies while the context lasts, and what to call it. Raises Problem.

    A local store's file is read in place; an object, and what lies behind an address, is copied to the spool under the
    cap of uploads, because sandboxes have no network.
    """
    if uri.startswith(("http://", "https://")):
        from services.gateway.fetch import fetched

        async with fetched(uri, settings, spool) as found:
            yield found
        return
    name, colon, path = uri.partition(":")
    root = settings.stores.get(name) if colon else None
    if root is None:
        there = ", ".join(sorted(settings.stores)) or "none"
        raise Problem("invalid", f"uri: {uri[:80]!r} names no store: write STORE:PATH; stores: {there}", field="uri")
    if "\0" in path or "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise Problem("invalid", "uri: the path has empty parts, '.', '..' or '\\': name the file itself", field="uri")
    if is_local(root):
        yield _inside(Path(root), path), safe_name(path)
        return
    with spool.file() as target:
        await asyncio.to_thread(_copy, join(root, path), target, int(settings.limits.body_mb * 1e6), uri)
        yield target.path, safe_name(path)


def _inside(root: Path, path: str) -> Path:
    """The file, which no link leads out of its store. What does not exist and what is forbidden read the same."""
    missing = Problem("invalid", f"uri: the store has no file {path[:200]!r}", field="uri")
    try:
        found = (root / path).resolve(strict=True)
    except OSError:
        raise missing from None
    if not found.is_relative_to(root.resolve()) or not found.is_file():
        raise missing
    return found


def _copy(address: str, target, most: int, uri: str) -> None:
    try:
        with open_media(address) as source:
            while part := source.read(PART):
                if target.size + len(part) > most:
                    raise Problem("too_large", f"{uri[:80]} is larger than {most / 1e6:g} MB, the limit")
                target.write(part)
    except (VidmodelsError, OSError):
        raise Problem("invalid", f"uri: the store has no file for {uri[:200]!r}", field="uri") from None
