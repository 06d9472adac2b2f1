"""What README, Makefile and the lists of versions say is there, is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from pipelines.common.program import ALIASES
from tests.policy.files import ROOT, tracked
from vidmodels import zoo

README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = (ROOT / "infra" / "constraints.txt").read_text()
PAGES = [
    "vidmodels/data/formats/README.md",
    "pipelines/README.md",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
]
TOP = {"README", "CONTRIBUTING", "SECURITY", "CHANGELOG", "LICENSE", "Makefile"}

PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.]*")
# come as a set that fits one accelerator: asked for by a range, never pinned
UNPINNED = re.compile(r"torch|torchvision|torchcodec|triton|nvidia-.*|cuda-.*")


def commands(text: str) -> list[str]:
    """The lines of the shell blocks, continued lines joined, comments cut off."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def make_targets(text: str) -> set[str]:
    """Targets that are called in a text: in code spans and in shell blocks."""
    spans = re.findall(r"`((?:[A-Z]+=\S+ )*make [^`\n]+)`", text) + [line for line in commands(text) if "make " in line]
    return {target for span in spans for target in re.findall(r"(?:^|\s)make ([a-z-]+)", span)}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> list[str]:
    return [line for line in CONSTRAINTS.splitlines() if line.strip() and not line.startswith("#")]


def requirements() -> set[str]:
    """The packages that pyproject.toml asks for, with all extras."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names = {re.match(r"[A-Za-z0-9._-]+", line)[0] for lines in lists for line in lines}
    return {canonical(name) for name in names} - {PROJECT["name"]}


def option_keys(command: str) -> list[str]:
    return [key.partition("=")[0] for key in re.findall(r"--([a-z][\w.-]*)", command)]


def test_commands_are_read_from_blocks():
    text = "x\n```sh\nmake a  # b\npython pipelines/p.py --k v \\\n  --l w\n```\n"
    text += "```python\nc\n```\nand `PYTHON=p make d-e X=1`\n"
    assert commands(text) == ["make a", "python pipelines/p.py --k v    --l w"]
    assert make_targets(text) == {"a", "d-e"}
    assert option_keys("--data.path X --run.name=y") == ["data.path", "run.name"]


def test_readme_is_short():
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    known = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert {"setup", "pretrain", "test", "test-slow", "lint", "bench", "clean", "help"} <= known
    assert make_targets((ROOT / page).read_text()) <= known


def test_programs_of_the_readme_exist():
    programs = set(re.findall(r"python (pipelines/\w+\.py)", README))
    assert {"pipelines/pretrain_mae.py", "pipelines/train_classifier.py"} <= programs
    assert [program for program in sorted(programs) if not (ROOT / program).is_file()] == []


def test_modules_of_the_pages_exist():
    for page in PAGES:
        for module in re.findall(r"python -m (tests\.\w+)", (ROOT / page).read_text()):
            assert (ROOT / module.replace(".", "/") / "__main__.py").is_file(), f"{page}: {module}"


@pytest.mark.parametrize(("program", "kind"), [("pretrain_mae", "MaskedRecipe"), ("train_classifier", "ClassifyRecipe")])
def test_keys_of_the_readme_exist(program, kind):
    from vidmodels.core import recipe

    keys = {*recipe.flatten(getattr(recipe, kind)().model_dump(mode="json"))}
    keys |= {f"run.{key}" for key in recipe.RunSection.model_fields} | {alias.removeprefix("--") for alias in ALIASES}
    called = [line.partition(f"pipelines/{program}.py")[2] for line in commands(README) if f"pipelines/{program}.py" in line]
    assert called
    used = {key.replace("-", "_") for line in called for key in option_keys(line)}
    assert used
    assert used <= keys


def test_options_of_the_readmes_table_exist():
    from vidmodels.core.recipe import MaskedRecipe, RunSection, flatten

    known = {*flatten(MaskedRecipe().model_dump(mode="json")), *(f"run.{key}" for key in RunSection.model_fields)}
    known |= {"help", "print_config", "dry_run", "fresh", "recipe"}
    rows = [line for line in README.splitlines() if line.startswith("| `--")]
    used = {key.replace("-", "_") for row in rows for key in option_keys(row.split("|")[1])}
    assert len(used) >= 6
    assert used <= known


def test_recipes_of_the_readme_exist():
    from vidmodels import zoo
    from vidmodels.core.recipe import ClassifyRecipe, MaskedRecipe

    names = {*zoo.recipes(MaskedRecipe), *zoo.recipes(ClassifyRecipe), *zoo.entries()}
    assert {name for name in re.findall(r"\bmae_st_\w+", README) if name not in names} == set()


def test_commands_of_the_readme_exist():
    rows = README.partition("| `vidmodels` | |\n")[2].partition("\n\n")[0].splitlines()
    named = {word.split()[0] for row in rows for word in re.findall(r"`([a-z][^`]*)`", row.split("|")[1])}
    assert {
        "models",
        "show",
        "predict",
        "detect-actions",
        "explain",
        "features",
        "search",
        "probe",
        "map",
        "convert",
        "export",
        "register",
        "runs",
        "checkpoints",
        "serve",
        "token",
        "call",
        "lineage",
        "data",
        "env",
    } == named
    program = "import sys; sys.argv = ['vidmodels', '--help']; from vidmodels.cli.main import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert {name for name in named if not re.search(rf"\b{name}\b", done.stdout)} == set()


@pytest.mark.parametrize("system", [path.parent.name for path in sorted((ROOT / "vidmodels").glob("systems/*/README.md"))])
def test_sizes_in_the_systems_tables_are_those_of_the_cards(system):
    """Parameters and multiply-adds of rows about one model, as many digits as the table has."""
    for line in (ROOT / "vidmodels" / "systems" / system / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        model = re.fullmatch(r"`(\w+)`", cells[1]) if len(cells) > 2 else None
        if model is None or model[1] not in zoo.entries():
            continue
        row = zoo.entry(model[1])
        for unit, size, known in (("M", 1e6, row.params), ("G", 1e9, row.macs)):
            found = next((m for cell in cells[2:] if (m := re.match(rf"([\d.]+)(?: / [\d.]+)? {unit}\b", cell))), None)
            if found and known:
                decimals = len(found[1].partition(".")[2])
                assert found[1] == f"{known / size:.{decimals}f}", line


def test_extras_of_the_pages_exist():
    for page in PAGES:
        for extras in re.findall(r"(?:\.|vidmodels)\[([\w,]+)\]", (ROOT / page).read_text()):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), page
    for extras in re.findall(r'-e "\.\[([\w,]+)\]"', MAKEFILE):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_files_named_in_the_pages_exist():
    for page in PAGES:
        for name in re.findall(r"`([\w./-]+)`", (ROOT / page).read_text()):
            inside = name.partition("/")[0] in ("vidmodels", "pipelines", "services", "tests", "infra", ".ci")
            if (inside or name.removesuffix(".md") in TOP) and "NAME" not in name:
                assert (ROOT / name).exists(), f"{page}: {name}"


def test_constraints_are_names_and_versions():
    lines = pins()
    assert len(lines) > 50
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    names = [canonical(line.partition("==")[0]) for line in lines]
    assert sorted(set(names)) == sorted(names)
    assert [name for name in names if UNPINNED.fullmatch(name)] == []


@pytest.mark.parametrize("line", ["torch==2.14.1+cu130", "a>=1", "a @ file:///x", "-e .", "a==1 --hash=sha256:0", "a"])
def test_other_lines_are_no_pins(line):
    assert not PIN.fullmatch(line)


def test_every_requirement_is_pinned_or_left_open_on_purpose():
    pinned = {canonical(line.partition("==")[0]) for line in pins()}
    assert {name for name in requirements() - pinned if not UNPINNED.fullmatch(name)} == set()


def test_ray_comes_with_its_job_server():
    # without Ray's extra `default`, `ray start --head` opens no job port and `ray job submit` cannot connect
    assert "ray job submit" in README
    wanted = [line for line in PROJECT["optional-dependencies"]["ray"] if line.startswith("ray[")]
    assert {"default", "serve"} & set(re.findall(r"\w+", wanted[0].partition("]")[0]))


def test_torch_is_asked_for_by_a_range():
    for name in ("torch", "torchvision"):
        wanted = [line for line in PROJECT["dependencies"] if re.match(rf"{name}\b", line)]
        assert len(wanted) == 1
        assert ">=" in wanted[0]
        assert not re.search(r"(?<![!<>~])==", wanted[0])


def test_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text) == 11358
    assert PROJECT["license"] == "Apache-2.0"


def test_changelog_knows_the_version():
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_ci_can_be_run():
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o111
    assert "set -euo pipefail" in path.read_text()
    assert shutil.which("bash") is None or subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_an_uploaded_job_has_the_code_and_nothing_heavy():
    pathspec = pytest.importorskip("pathspec")
    lines = (ROOT / ".gitignore").read_text().splitlines() + (ROOT / ".rayignore").read_text().splitlines()
    ignored = pathspec.PathSpec.from_lines("gitignore", lines)
    sent = [name for name in tracked() if not ignored.match_file(name)]
    code = [name for name in tracked() if name.split("/")[0] in ("vidmodels", "pipelines", "services")]
    assert {name for name in code if name.endswith((".py", ".typed", ".json"))} <= set(sent)
    assert sum((ROOT / name).stat().st_size for name in sent) < 20e6
    heavy = [".git/HEAD", ".venv/bin/python", "venv/x", "data/a.bin", "runs/a/metrics.csv", "mlruns/0/meta.yaml"]
    heavy += ["mlflow.db", "tests/core/test_x.py", "clip.mp4", "a/clip.webm", "weights.pth", "a/b.safetensors"]
    for name in heavy:
        assert ignored.match_file(name), name
    for name in ("vidmodels/data/order.py", "pipelines/common/runs.py", "my_recipe.json", "lists/train.csv"):
        assert not ignored.match_file(name), name
