"""Check infra/ offline: `python infra/validate.py` ends with `N files valid`, or names each fault and exits with 1."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a program, only this folder would be on the path

import yaml

from infra.checks import compose, dockerfiles, kubernetes, launcher, monitoring, serving
from infra.checks.tree import Tree

Check = Callable[[Tree, str], Iterator[str]]
CHECKS: dict[str, Check] = {
    "docker/Dockerfile.*": dockerfiles.check,
    "kuberay/*.yaml": kubernetes.check,
    "launcher/*.yaml": launcher.check,
    "serve.yaml": serving.check,
    "compose/compose.yaml": compose.check,
    "compose/env.example": compose.check_env,
    "compose/prometheus.yml": monitoring.prometheus,
    "compose/rules.yml": monitoring.rules,
    "compose/grafana/provisioning/datasources/*.yaml": monitoring.datasources,
    "compose/grafana/provisioning/dashboards/*.yaml": monitoring.providers,
    "compose/grafana/dashboards/*.json": monitoring.dashboard,
}


def faults_of(tree: Tree, name: str) -> list[str]:
    """A line for each fault of a file."""
    check = next((check for pattern, check in CHECKS.items() if fnmatch.fnmatch(name, pattern)), None)
    if check is None:
        return [f"infra/{name}: no check knows this file: move it, or add a check to infra/validate.py"]
    try:
        return [f"infra/{name}: {fault}" for fault in check(tree, name)]
    except yaml.YAMLError as error:
        return [f"infra/{name}: is not YAML ({' '.join(str(error).split())}): correct it"]
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return [f"infra/{name}: has lists, mappings or words where others belong ({error!r}): correct its form"]


def main(folder: Path = ROOT / "infra") -> int:
    """Check all files of a folder; the exit code."""
    tree = Tree(folder, ROOT)
    names = tree.names()
    missing = [pattern for pattern in CHECKS if not fnmatch.filter(names, pattern)]
    faults = [f"infra/{pattern}: there is no such file: restore it" for pattern in missing]
    for name in names:
        faults += faults_of(tree, name)
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults in {len(names)} files" if faults else f"{len(names)} files valid")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
