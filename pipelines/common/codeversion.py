"""Which code made a model: the commit, or the package's version with a hash of its sources."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import subprocess
from pathlib import Path

PACKAGES = ("vidmodels", "pipelines", "services")


@functools.cache
def code_version() -> str:
    """`git:SHA`, `git:SHA+dirty.HASH` or `VERSION+src.HASH`; $VIDMODELS_CODE_VERSION where an image build sets it.

    HASH is over the sources, so that two states without a commit (an uploaded working directory) are told apart.
    """
    if given := os.environ.get("VIDMODELS_CODE_VERSION"):
        return given
    root = Path(__file__).resolve().parents[2]
    sha, dirty = _git_state(root)
    if sha:
        return f"git:{sha}+dirty.{source_hash(root)}" if dirty else f"git:{sha}"
    return f"{_package_version()}+src.{source_hash(root)}"


def source_hash(root: Path) -> str:
    """First 12 hexadecimal digits of the SHA-256 over the packages' Python files and their relative paths."""
    total = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            total.update(f"{path.relative_to(root).as_posix()}\n".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:12]


def _git_state(root: Path) -> tuple[str | None, bool]:
    # an installed copy may lie inside somebody else's repository: only one that tracks this file counts
    own = str(Path(__file__).resolve().relative_to(root))
    if _git(root, "ls-files", "--error-unmatch", own) is None:
        return None, False
    sha = _git(root, "rev-parse", "--verify", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", *[name for name in PACKAGES if (root / name).is_dir()])
    return sha, bool(changes)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _package_version() -> str:
    try:
        return importlib.metadata.version("vidmodels")
    except importlib.metadata.PackageNotFoundError:
        return "0"
