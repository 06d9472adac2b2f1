"""The command line of every program: PROGRAM [RECIPE | --recipe FILE.json] --key value ...

The keys are the fields of the recipe (hashed, so that equal settings are one run) and of `run.*` (not hashed).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import pydantic

from pipelines.common.keys import explain, parse_keys
from vidmodels import zoo
from vidmodels.cli.main import BROKEN_PIPE, INTERRUPTED
from vidmodels.core.errors import ConfigError, VidmodelsError, did_you_mean
from vidmodels.core.recipe import Recipe, RunSection, Section

RecipeT = TypeVar("RecipeT", bound=Recipe)

# short forms of keys that are typed often
ALIASES = {"--init": "--train.init", "--freeze": "--train.freeze", "--space": "--search.space"}
FLAGS = ("--fresh", "--print-config", "--dry-run")


@dataclass(frozen=True)
class Invocation(Generic[RecipeT]):
    """What the user asked for."""

    program: str
    recipe: RecipeT
    run: RunSection
    fresh: bool = False
    print_config: bool = False
    dry_run: bool = False
    search: Any = None


@dataclass(frozen=True)
class Search:
    """What a search adds to the command line: the section `--search.*`; its trials draw pictures only when asked to."""

    section: Section

    @property
    def run(self) -> RunSection:
        return RunSection(pictures=False)


def parse(
    argv: Sequence[str], program: str, recipe_type: type[RecipeT], default: str, search: Search | None = None
) -> Invocation[RecipeT]:
    """Read the command line. Exits 0 after `--help`; raises ConfigError on what does not exist or cannot be."""
    recipe, rest = _base_recipe(list(argv), recipe_type, default)
    arguments = _expand(rest)
    settings = _parse_keys(arguments, program, recipe, recipe_type, search)
    fields = {name: getattr(settings, name) for name in recipe_type.model_fields}
    return Invocation(
        program=program,
        recipe=recipe_type.model_validate(fields),
        run=settings.run,
        fresh=settings.fresh,
        print_config=settings.print_config,
        dry_run=settings.dry_run,
        search=getattr(settings, "search", None),
    )


def run_program(
    program: str,
    recipe_type: type[RecipeT],
    default: str,
    execute: Callable[[Invocation[RecipeT]], int],
    argv: Sequence[str] | None = None,
    search: Search | None = None,
) -> None:
    """The body of a program's `main`: parse, execute, exit."""

    def body() -> int:
        invocation = parse(sys.argv[1:] if argv is None else argv, program, recipe_type, default, search)
        if invocation.print_config:
            tree = {**invocation.recipe.model_dump(mode="json"), "run": invocation.run.model_dump(mode="json")}
            if invocation.search is not None:
                tree["search"] = invocation.search.model_dump(mode="json")
            print(json.dumps(tree, indent=2))
            return 0
        return execute(invocation)

    exit_with(program, body)


def exit_with(program: str, body: Callable[[], int]) -> NoReturn:
    """Exit with the body's code; an error from outside is one sentence on standard error."""
    try:
        code = body()
        sys.stdout.flush()
    except VidmodelsError as error:
        print(f"{program}: {error}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at exit
        code = BROKEN_PIPE
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def recipe_type_of(argv: Sequence[str], default: str) -> type[Recipe]:
    """The type of the recipe that a command line names, for programs that take any; the default's where it names none.

    A file has the type that takes all its keys, the default's if several do. What is wrong with name or file, `parse` says.
    """
    first = zoo.recipe_types()[default]
    if argv and not argv[0].startswith("-"):
        return zoo.recipe_types().get(argv[0], first)
    if "--recipe" in argv[:-1]:
        for kind in dict.fromkeys([first, *zoo.recipe_types().values()]):
            with contextlib.suppress(ConfigError):
                load_recipe_file(argv[argv.index("--recipe") + 1], kind)
                return kind
    return first


def load_recipe_file(path: str, recipe_type: type[RecipeT]) -> RecipeT:
    """A recipe from a JSON file (`--print-config` writes one; its parts `run` and `search` are ignored here)."""
    try:
        tree = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ConfigError(f"no recipe file at {path}: give the path of a JSON file, or the name of a recipe") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"cannot read the recipe file {path}: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"the recipe file {path} holds {type(tree).__name__}, not an object of settings")
    for part in ("run", "search"):
        tree.pop(part, None)
    try:
        return recipe_type.model_validate(tree)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, recipe_type)}") from None


def _base_recipe(words: list[str], recipe_type: type[RecipeT], default: str) -> tuple[RecipeT, list[str]]:
    if words and not words[0].startswith("-"):
        name, words = words[0], words[1:]
    elif "--recipe" in words:
        at = words.index("--recipe")
        if at + 1 == len(words):
            raise ConfigError("--recipe needs the path of a JSON file")
        return load_recipe_file(words[at + 1], recipe_type), words[:at] + words[at + 2 :]
    else:
        name = default
    known = zoo.recipes(recipe_type)
    if name not in known:
        raise ConfigError(f"unknown recipe {name!r}{did_you_mean(name, known)}; there are: {', '.join(sorted(known))}")
    return known[name](), words


def _expand(words: list[str]) -> list[str]:
    """Short forms written out, and a value for the flags that are typed without one."""
    expanded: list[str] = []
    option = ""
    for place, word in enumerate(words):
        key, equals, value = word.partition("=")
        option = key if word.startswith("--") else option
        if option.startswith("--search.") and not word.startswith("--") and option != "--search.space":
            expanded += word.split(",")  # lists of a search may be typed with commas
            continue
        expanded.append(ALIASES.get(key, key) + equals + value)
        follows = words[place + 1 : place + 2]
        if key in FLAGS and not equals and follows not in (["True"], ["False"]):
            expanded.append("True")
    return expanded


def _parse_keys(words: list[str], program: str, recipe: RecipeT, recipe_type: type[RecipeT], search: Search | None):
    own: dict = {} if search is None else {"search": (type(search.section), search.section)}
    flags: dict = {
        **own,
        "run": (RunSection, RunSection() if search is None else search.run),
        "fresh": (bool, pydantic.Field(False, description="Set an existing run of this name aside and start again.")),
        "print_config": (bool, pydantic.Field(False, description="Print the resolved recipe as JSON and exit.")),
        "dry_run": (bool, pydantic.Field(False, description="Compute one step on one batch, without Ray, and exit.")),
    }
    job_type = pydantic.create_model("Job", __base__=recipe_type, **flags)
    job = job_type.model_validate({name: getattr(recipe, name) for name in recipe_type.model_fields})
    about = (
        f"{(recipe_type.__doc__ or '').splitlines()[0]}\n\n"
        f"usage: {program} [RECIPE | --recipe FILE.json] --key value ...\n\n"
        f"recipes: {', '.join(sorted(zoo.recipes(recipe_type)))}"
    )
    return parse_keys(words, job_type, job, program, about)
