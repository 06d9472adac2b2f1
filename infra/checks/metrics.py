"""Which metrics exist, ours by the code and Ray's by its dashboards, and which ones a query of Prometheus names."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from infra.checks.tree import words

SUFFIXES = {
    "Counter": ("",),
    "Gauge": ("",),
    "Histogram": ("_bucket", "_sum", "_count"),
    "Summary": ("", "_sum", "_count"),
}
WORDS = words("and or unless by without on ignoring group_left group_right offset bool inf nan")
OF_PROMETHEUS = {"up", "ALERTS", "scrape_duration_seconds"}
SET_BY_PROMETHEUS = {"job", "instance", "le"}


@functools.cache
def of_code(root: Path) -> dict[str, frozenset[str]]:
    """Metrics that the services and pipelines make with prometheus_client, each with its labels."""
    found: dict[str, frozenset[str]] = {}
    for folder in ("services", "pipelines"):
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text()
            if "prometheus_client" in text:
                found.update(_made(ast.parse(text)))
    return found


def _made(tree: ast.Module) -> Iterator[tuple[str, frozenset[str]]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        kind = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if kind in SUFFIXES:
            given = [*node.args[2:3], *(word.value for word in node.keywords if word.arg == "labelnames")]
            labels = frozenset(ast.literal_eval(given[0])) if given else frozenset()
            for suffix in SUFFIXES[kind]:
                yield str(node.args[0].value) + suffix, labels


@functools.cache
def of_ray() -> frozenset[str]:
    """Metrics in the queries of the dashboards that come with Ray."""
    import ray

    folder = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    return frozenset(name for path in folder.glob("*.py") for name in re.findall(r"\b(ray_[a-z0-9_]+)\{", path.read_text()))


def query_faults(root: Path, query: str) -> Iterator[str]:
    """What is wrong with the metrics and labels of a query; its grammar is not checked here."""
    ours = of_code(root)
    for name, labels in selected(query):
        if name in ours:
            for label in sorted(labels - ours[name] - SET_BY_PROMETHEUS):
                yield f"{name} has no label {label!r}: one of {', '.join(sorted(ours[name])) or 'none'}"
        elif name not in of_ray() | OF_PROMETHEUS:
            yield f"there is no metric {name!r} in our code or in Ray's dashboards: correct the name"
    if query.count("(") != query.count(")") or query.count("{") != query.count("}"):
        yield "brackets do not match: correct the query"


def selected(query: str) -> list[tuple[str, frozenset[str]]]:
    """The metrics of a query with the labels that it matches or groups by."""
    plain = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', '""', query)
    grouped = frozenset(
        label
        for labels in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", plain)
        for label in re.findall(r"\w+", labels)
    )
    plain = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", plain)
    plain = re.sub(r"\[[^\]]*\]", " ", plain)
    found = []
    for match in re.finditer(r"(?<![\w.$])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\s*\()?", re.sub(r"\boffset\s+\S+", " ", plain)):
        name, block, call = match.groups()
        if not call and name not in WORDS:
            found.append((name, grouped | frozenset(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", block or ""))))
    return found
