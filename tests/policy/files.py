"""The repository's files: what git knows or would take; without git, what lies there."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("vidmodels", "pipelines", "services", "infra")
NOT_OURS = {"__pycache__", "runs", "mlruns", "data", "build", "dist", "venv"}


@functools.cache
def tracked() -> tuple[str, ...]:
    """Paths in the repository, sorted."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"],
            capture_output=True,
            check=True,
            timeout=60,
        )
        found = [name for name in done.stdout.decode().split("\0") if name]
    except (OSError, subprocess.SubprocessError):
        found = []
    if "pyproject.toml" not in found:  # an unpacked archive, perhaps inside another repository
        found = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if _ours(path.relative_to(ROOT))]
    return tuple(sorted(name for name in found if (ROOT / name).is_file()))


def python_files(*folders: str) -> list[str]:
    """Python files below the given top folders."""
    return [name for name in tracked() if name.endswith(".py") and name.split("/")[0] in folders]


def _ours(path: Path) -> bool:
    hidden = [part for part in path.parts[:-1] if part.startswith(".") and part != ".ci"]
    return not hidden and path.parts[0] not in NOT_OURS and "__pycache__" not in path.parts and ".egg-info" not in path.parts[0]
