"""The rules of the house as functions: source text and path in, one line for each breach out."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

PROBE = "vidmodels/data/probe.py"
MEDIA_READERS = {
    "av.open", "av.container.open", "cv2.VideoCapture", "cv2.imread", "decord.VideoReader", "decord.AudioReader",
    "imageio.get_reader", "imageio.v2.get_reader", "imageio.v3.imread", "imageio.v3.imiter", "PIL.Image.open",
    "ray.data.read_videos", "ray.data.read_images", "torchaudio.load", "torchvision.io.read_video",
    "torchvision.io.VideoReader", "torchcodec.decoders.VideoDecoder", "torchcodec.decoders.AudioDecoder",
}  # fmt: skip
UNSAFE_CALLS = {
    "eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads",
    "dill.load", "dill.loads", "marshal.load", "marshal.loads", "shelve.open", "joblib.load",
    "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load",
}  # fmt: skip
FOREIGN = {"ray", "mlflow", "fastapi", "starlette", "uvicorn"}
BROAD = {"Exception", "BaseException"}


@dataclass
class Source:
    """A parsed file: its path in the repository, its tree, and what its imported names stand for."""

    path: str
    text: str
    tree: ast.Module = field(init=False)
    names: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text)
        self.names = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    known = alias.name if alias.asname else alias.name.partition(".")[0]
                    self.names[alias.asname or known] = known
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    @property
    def in_library(self) -> bool:
        return self.path.startswith("vidmodels/")

    def dotted(self, node: ast.expr) -> str:
        """`av.open` for `av.open`, `import av as x; x.open`, `from av import open`; "" for what is no name."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Every call with the dotted name of what is called."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func)

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"


def media_only_in_probe(source: Source) -> Iterator[str]:
    """Media are opened for reading in one file; writing with a literal mode "w" is free."""
    if source.path == PROBE:
        return
    for call, name in source.calls():
        writes = name.startswith("av.") and _is(_argument(call, 1, "mode"), "w")
        if name in MEDIA_READERS and not writes:
            yield source.at(call, f"{name} opens media: go through vidmodels.data.probe")


def only_weights_are_loaded(source: Source) -> Iterator[str]:
    """Every torch.load says weights_only=True."""
    for call, name in source.calls():
        if name in ("torch.load", "torch.serialization.load") and not _is(_argument(call, None, "weights_only"), True):
            yield source.at(call, "torch.load without a literal weights_only=True")
        if name == "numpy.load" and _argument(call, None, "allow_pickle") not in (None, False):
            yield source.at(call, "numpy.load with allow_pickle")


def nothing_runs_code(source: Source) -> Iterator[str]:
    """No unpickling, no eval, no unsafe YAML, no shell. An Unpickler with its own `find_class` is a restricted one."""
    for call, name in source.calls():
        if name.removeprefix("builtins.") in UNSAFE_CALLS:
            yield source.at(call, f"{name} can run what a file or user says")
        if _argument(call, None, "shell") not in (None, False):
            yield source.at(call, "a command with a shell: give a list of words")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and "pickle.Unpickler" in map(source.dotted, node.bases):
            methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
            if "find_class" not in methods:
                yield source.at(node, "an Unpickler without its own find_class")


def library_imports_no_framework(source: Source) -> Iterator[str]:
    """No Ray, MLflow or web framework in vidmodels, neither at the top of a file nor inside a function."""
    if not source.in_library:
        return
    for node, module in _imports(source):
        if module.partition(".")[0] in FOREIGN:
            yield source.at(node, f"imports {module}")


def library_does_not_print(source: Source) -> Iterator[str]:
    """No print in vidmodels outside cli."""
    if not source.in_library or source.path.startswith("vidmodels/cli/"):
        return
    for call, name in source.calls():
        if name in ("print", "builtins.print", "sys.stdout.write", "rich.print"):
            yield source.at(call, f"{name} in library code: log, return, or write to a stream that the caller gave")


def light_files_import_no_torch(source: Source) -> Iterator[str]:
    """Cards, recipes, zoo and core/recipe import no torch when they are imported."""
    light = re.fullmatch(
        r"vidmodels/(systems/[^/]+/(card|recipes)|core/(recipe/.+|entry|errors)|zoo|__init__)\.py", source.path
    )
    if not light:
        return
    for node, module in _imports(source, only_at_import=True):
        if module.partition(".")[0] in ("torch", "torchvision"):
            yield source.at(node, f"imports {module}")


def nothing_is_swallowed(source: Source) -> Iterator[str]:
    """No handler of all errors that does nothing."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and all(map(_does_nothing, node.body)) and _is_broad(source, node.type):
            yield source.at(node, "a handler of all errors that does nothing")
    for call, name in source.calls():
        if name == "contextlib.suppress" and any(_is_broad(source, argument) for argument in call.args):
            yield source.at(call, "contextlib.suppress of all errors")


def opens_with_a_sentence(source: Source) -> Iterator[str]:
    """A file that holds anything opens with a docstring."""
    if source.text.strip() and not (ast.get_docstring(source.tree) or "").strip():
        yield source.at(source.tree, "no docstring at the top")


RULES: tuple[Callable[[Source], Iterator[str]], ...] = (
    media_only_in_probe,
    only_weights_are_loaded,
    nothing_runs_code,
    library_imports_no_framework,
    library_does_not_print,
    light_files_import_no_torch,
    nothing_is_swallowed,
    opens_with_a_sentence,
)

# written in two parts so that this file does not match itself
_INDEX = re.compile(
    r"https?://\S*?(?:pypi\.|pythonhosted"
    + r"\.org|/simple/?(?:\s|$|[\"'])|/whl(?:/|\b))|--(?:extra-)?index"
    + r"-url|--find"
    + r"-links"
)
_HOME = re.compile(r"(?<![\w.~}])(?:/ho" + r"me/[\w.-]+|/Us" + r"ers/[\w.-]+|/ro" + r"ot)(?=[/\s\"'`:,)]|$)", re.MULTILINE)


def names_no_machine(path: str, text: str) -> Iterator[str]:
    """No addresses of package indexes and no paths of somebody's home folder in any file."""
    for what, pattern in (("address of a package index", _INDEX), ("path of a home folder", _HOME)):
        for match in pattern.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0].strip()}"


def _imports(source: Source, only_at_import: bool = False) -> Iterator[tuple[ast.AST, str]]:
    """Imported modules; `only_at_import` leaves out functions and what only a type checker sees."""
    todo: list[ast.AST] = [source.tree]
    while todo:
        node = todo.pop()
        if only_at_import and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if only_at_import and isinstance(node, ast.If) and source.dotted(node.test) == "typing.TYPE_CHECKING":
            todo.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node, node.module or ""
        elif isinstance(node, ast.Call) and source.dotted(node.func) in ("__import__", "importlib.import_module"):
            yield from ((node, str(word.value)) for word in node.args[:1] if isinstance(word, ast.Constant))
        todo.extend(ast.iter_child_nodes(node))


_UNKNOWN = object()


def _argument(call: ast.Call, position: int | None, name: str):
    """The literal value of an argument, None where it is not given, something else where it is no literal."""
    found = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    if found is None and position is not None and len(call.args) > position:
        found = call.args[position]
    if found is None:
        return None
    return found.value if isinstance(found, ast.Constant) else _UNKNOWN


def _is(value, wanted) -> bool:
    return type(value) is type(wanted) and value == wanted


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return True
    return isinstance(statement, (ast.Pass, ast.Continue))


def _is_broad(source: Source, kind: ast.expr | None) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_is_broad(source, part) for part in kind.elts)
    return kind is None or source.dotted(kind).removeprefix("builtins.") in BROAD
