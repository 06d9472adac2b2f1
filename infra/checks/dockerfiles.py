"""Dockerfiles: a pinned base, another user than root, no ADD, requirements under constraints."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.checks.tree import Tree, canonical, words

INSTRUCTIONS = words(
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR"
)
WRITABLE = {"/var/lib/vidmodels", "/runs", "/spool"}


def instructions(text: str) -> list[tuple[int, str, str]]:
    """Line, instruction and arguments of each; comments are left out, continued lines joined."""
    found: list[tuple[int, str, str]] = []
    start, gathered = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not gathered):
            continue
        start = start or number
        gathered += line.rstrip().removesuffix("\\") + " "
        if not line.rstrip().endswith("\\"):
            word, _, rest = gathered.strip().partition(" ")
            found.append((start, word.upper(), " ".join(rest.split())))
            start, gathered = 0, ""
    return found


def check(tree: Tree, name: str) -> Iterator[str]:
    found = instructions(tree.text(name))
    stages: set[str] = set()
    user = ""
    for line, word, rest in found:
        where = f"line {line}: {word}"
        if word not in INSTRUCTIONS:
            yield f"{where}: is no instruction: correct it"
        elif word == "FROM":
            yield from _base(rest, stages, where)
            user = ""
        elif word == "ADD":
            yield f"{where}: takes addresses and unpacks archives: use COPY"
        elif word == "USER":
            user = rest
        elif word == "RUN":
            yield from _run(tree, rest, where)
        elif word in ("ENV", "ARG") and re.search(r"(?i)(password|secret|token|_key)\w*=\S", rest):
            yield f"{where}: a secret stays in the image: pass it when a container starts"
    words = [word for _, word, _ in found]
    if not words or words[0] not in ("FROM", "ARG"):
        yield "FROM: the file does not begin with it: name a base image"
    if user.partition(":")[0] in ("", "root", "0"):
        yield f"USER: the image runs as {user or 'root'}: end with a USER by number"
    elif not re.fullmatch(r"[1-9]\d*(:\d+)?", user):
        yield f"USER: {user!r} is a name, which Kubernetes cannot tell from root: write its number"
    volumes = {folder for _, word, rest in found if word == "VOLUME" for folder in re.findall(r'"([^"]+)"', rest)}
    for folder in sorted(WRITABLE - volumes):
        yield f"VOLUME: {folder} is not one, and the root file system may be read-only: add it"
    for word in ("HEALTHCHECK", "CMD"):
        if word not in words:
            yield f"{word}: is missing: add it"


def _base(rest: str, stages: set[str], where: str) -> Iterator[str]:
    parts = [part for part in rest.split() if not part.startswith("--")]
    image, tag = parts[0], parts[0].rpartition(":")[2]
    if image not in stages and (":" not in image or "$" in image or not re.match(r"v?\d+\.\d+\.\d+", tag)):
        yield f"{where}: the base {image!r} can change: pin it with a full version, NAME:1.2.3-SYSTEM"
    if len(parts) == 3:
        stages.add(parts[2])


def _run(tree: Tree, rest: str, where: str) -> Iterator[str]:
    pinned = tree.pins()
    for command in re.split(r"&&|;|\|\|?", rest):
        words = command.replace('"', "").split()
        if words[:2] == ["pip", "install"]:
            if "-c infra/constraints.txt" not in command:
                yield f"{where}: pip takes whatever version is new: add -c infra/constraints.txt"
            names = [word for word in words[2:] if re.match(r"[A-Za-z]", word) and "/" not in word]
            for package in names:
                if canonical(re.split(r"[\[=<>]", package)[0]) not in pinned:
                    yield f"{where}: {package} has no version in infra/constraints.txt: pin it there"
        if re.search(r"\b(curl|wget)\b.*https?://", command):
            yield f"{where}: downloads a file that nobody has checked: take it from a package"
        if words[:2] == ["apt-get", "install"] and "--no-install-recommends" not in words:
            yield f"{where}: installs what is only recommended: add --no-install-recommends"
