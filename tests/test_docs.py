"""The documentation against the code: commands, names, links, generated pages."""

import ast
import importlib.util
import json
import math
import pydoc
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest
from typer.main import get_command

import quantlab
from quantlab import AnalyzeOptions, Budget
from quantlab.cli.analyze_table import ANALYZE_KEYS
from quantlab.cli.app import app
from quantlab.cli.model_tables import model_keys
from quantlab.names import choose
from quantlab.runtimes import RUNTIMES
from quantlab.runtimes.exchange import TimingPlan
from quantlab.samples.description import read_description
from quantlab.settings import SETTINGS, select_settings
from quantlab.statistics import FASTER_BY, P95_FROM_RUNS, fewest_samples, tango
from quantlab.study.samples import CALIBRATION_SAMPLES
from quantlab.study.warnings import FLOAT32_SQNR_DB
from quantlab_reports import VIEWS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]
COMMANDS: dict[str, Any] = get_command(app).commands
PROGRAM_OPTIONS = {"--help", *(name for parameter in get_command(app).params for name in parameter.opts)}


def pages() -> Any:
    return pytest.mark.parametrize("page", [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES])


def generator() -> ModuleType:
    if str(ROOT / "docs") not in sys.path:  # as for a program, whose folder is looked in first
        sys.path.append(str(ROOT / "docs"))
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [body for language, body in fenced if language in languages]


def shell_commands(text: str) -> Iterator[list[str]]:
    """Every line of a shell block that calls quantlab, as words."""
    for block in blocks(text, "sh", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["quantlab"]:
                yield words[1:]


def inline_commands(text: str) -> Iterator[list[str]]:
    """Every piece of inline code that begins as a command, as words; it may lack what is required."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`quantlab ([^`]+)`", prose):
        yield code.split()


@cache
def options_of(command: str) -> set[str]:
    return {"--help", *(name for parameter in COMMANDS[command].params for name in parameter.opts)}


def parsed(words: list[str]) -> dict[str, Any]:
    """What the command line makes of words; nothing is run."""
    name, *rest = [word for word in words if word != "--debug"]
    assert name in COMMANDS, f"there is no command 'quantlab {name}'"
    context = COMMANDS[name].make_context(name, rest)
    return dict(context.params)


@cache
def page_of_the_command_line() -> str:
    return str(generator().cli_page())


def test_generated_pages_are_up_to_date() -> None:
    assert generator().outdated() == [], "run 'python docs/generate.py'"


def test_generated_pages_are_told_from_others(tmp_path: Path) -> None:
    docs = generator()
    docs.HERE = tmp_path
    (tmp_path / "hand.md").write_text("# A page\n")
    (tmp_path / "mixed.md").write_text("# A page\n\n<!-- generated: targets -->\n<!-- end of generated -->\n\nEnd.\n")
    assert docs.outdated() == sorted([*docs.PAGES, "mixed.md"])
    assert docs.main(["--check"]) == 1
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    assert (tmp_path / "hand.md").read_text() == "# A page\n"
    assert "| `web-mobile` |" in (tmp_path / "mixed.md").read_text()
    assert (tmp_path / "mixed.md").read_text().endswith("<!-- end of generated -->\n\nEnd.\n")
    (tmp_path / "cli.md").write_text("changed by hand\n")
    assert docs.outdated() == ["cli.md"]


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        pytest.param("<!-- generated: targets -->\n", "has no line", id="a block without an end"),
        pytest.param(
            "<!-- generated: target -->\n<!-- end of generated -->\n", "no generated block 'target'", id="no such block"
        ),
        pytest.param(
            "<!-- generated: options gate --maximum -->\n<!-- end of generated -->\n",
            "'quantlab gate' has no option --maximum",
            id="no such option",
        ),
    ],
)
def test_a_generated_block_that_cannot_be_written_is_refused(page: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        generator().with_blocks(page)


def half_width(n: int) -> str:
    """Points that may still be lost where no answer of n changed."""
    return f"{100 * tango(0, 0, n=n).upper:.2g}"


def python_versions() -> str:
    """The versions of Python that the package can be installed in, in words."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return "Python " + " or ".join(re.findall(r":: (3\.\d+)$", "\n".join(project["classifiers"]), re.M))


FEWEST = math.ceil(fewest_samples(0.005, 0.95))

FACTS = {
    "guides/reading-the-table.md": (f"is under {FLOAT32_SQNR_DB:g} dB",),
    "guides/inside.md": (f"on {AnalyzeOptions().layer_samples} of the scored samples",),
    "guides/samples.md": (
        f"sets aside {CALIBRATION_SAMPLES} samples of the data",
        f"fewer than {2 * CALIBRATION_SAMPLES} samples",
        *(f"| {n:,} | {half_width(n)} points |" for n in (200, 1_000, 10_000)),
    ),
    "guides/deciding.md": (f"fewer than {FEWEST} samples", f"The default is {Budget(max_size=1).confidence:g}."),
    "guides/continuous-integration.md": (f"at least {FEWEST} samples",),
    "guides/costs.md": (
        f"a warm-up of {TimingPlan().warm_up_seconds:g} seconds",
        f"at least {TimingPlan().enough_runs} calls",
        f"fewer than {P95_FROM_RUNS} calls there is no `p95 ms`",
        f"at least {FASTER_BY:.0%} less time".replace("%", " %"),
    ),
    "questions.md": (f"at least {FEWEST} samples",),
    "tutorial.md": (
        f"{sum(setting.default for setting in SETTINGS.values())} settings".replace("9", "nine"),
        f"The other {CALIBRATION_SAMPLES} are",
        python_versions(),
    ),
}
"""Page → phrases with a number that the code decides."""


@pytest.mark.parametrize("name", sorted(FACTS))
def test_numbers_in_a_page_are_those_of_the_code(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert [phrase for phrase in FACTS[name] if phrase not in text] == []


@pages()
def test_shell_blocks_hold_commands_that_parse(page: Path) -> None:
    for words in shell_commands(page.read_text(encoding="utf-8")):
        parameters = parsed(words)
        if parameters.get("settings"):
            assert select_settings(parameters["settings"].split(","), tuned={one.format for one in SETTINGS.values()})
        if parameters.get("runtimes"):
            assert choose("runtime", [parameters["runtimes"]], list(RUNTIMES))


@pages()
def test_inline_commands_exist(page: Path) -> None:
    for words in inline_commands(page.read_text(encoding="utf-8")):
        if words[0].startswith("-"):
            assert words[0] in PROGRAM_OPTIONS
            continue
        assert words[0] in COMMANDS
        named = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert named <= options_of(words[0]) | {"--debug"}


@pages()
def test_options_named_alone_exist(page: Path) -> None:
    known = {option for command in COMMANDS for option in options_of(command)} | PROGRAM_OPTIONS
    # Of other programs.
    known |= {"--debug", "--types", "--test", "--check", "--bundle", "--doctest-modules", "--ignore-scripts", "--quick"}
    named = set(re.findall(r"`(--[a-z][a-z-]*)", page.read_text(encoding="utf-8")))
    assert named <= known


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_the_command_line_lists_every_option(command: str) -> None:
    section = page_of_the_command_line().partition(f"\n## quantlab {command}\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    listed = {option for cell in cells for option in re.findall(r"`(-[a-z-]+)", cell)}
    assert listed == {option for option in options_of(command) if option.startswith("-")} - {"-h", "--help"}


def test_every_command_is_in_the_readme_or_a_guide() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.name not in {"cli.md", "CHANGELOG.md"}]
    shown = {words[0] for text in texts for words in shell_commands(text)}
    named = {words[0] for text in texts for words in inline_commands(text)}
    assert set(COMMANDS) <= shown | named


@pages()
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        leads_to = (page.parent / name).resolve() if name else page
        assert leads_to.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(leads_to), f"{page.name} links to {target}"


@cache
def anchors(page: Path) -> set[str]:
    """The names that headings get on a forge: lower case, spaces as hyphens, punctuation left out."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pages()
def test_python_blocks_use_names_that_exist(page: Path) -> None:
    if page.name == "api.md":
        return  # its blocks are signatures
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            check_node(node)


def check_node(node: ast.AST) -> None:
    """Names of quantlab in an import, an attribute or a call."""
    if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0].startswith("quantlab"):
        module = importlib.import_module(node.module)
        assert all(hasattr(module, alias.name) for alias in node.names)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "quantlab":
        assert node.attr in quantlab.__all__
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in quantlab.__all__:
        called = getattr(quantlab, node.func.attr)
        assert {keyword.arg for keyword in node.keywords} <= set(signature(called).parameters)


def listed(value: object) -> list[object]:
    """The tables of an array of tables, or one table."""
    return value if isinstance(value, list) else [value]


@pages()
def test_toml_blocks_hold_keys_that_exist(page: Path, tmp_path: Path) -> None:
    known = {
        "analyze": set(ANALYZE_KEYS),
        "preprocessing": {field.name for field in fields(quantlab.Preprocessing)},
        "convert": {"float_layers"},
        "budget": {*(field.name for field in fields(quantlab.Budget)), "settings", "studies"},
        "model": set(model_keys()),
    }
    for block in blocks(page.read_text(encoding="utf-8"), "toml"):
        document = tomllib.loads(block)
        if "files" in document:  # a description of samples, which has its own reader
            (tmp_path / "data.toml").write_text(block, encoding="utf-8")
            assert read_description(tmp_path / "data.toml").files
            continue
        assert set(document) <= set(known)
        tables = ((name, table) for name, value in document.items() for table in listed(value))
        assert all(set(table) <= known[name] for name, table in tables)


@pytest.mark.parametrize("name", quantlab.__all__)
def test_public_names_are_there_and_documented(name: str) -> None:
    value = getattr(quantlab, name)
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert f"\n## {name}\n" in text
    if is_dataclass(value):
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert all(f"| `{field.name}` |" in section for field in fields(value))


@cache
def headings_of_views() -> set[str]:
    """What stands above the columns of every view."""
    sources = (path.read_text(encoding="utf-8") for path in ROOT.glob("reports/quantlab_reports/views/*.py"))
    calls = (node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    named = (call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Column")
    return {name.value for name in named if isinstance(name, ast.Constant)} | {"ms/sample", "notes"}


@pages()
def test_columns_that_a_page_explains_are_there(page: Path) -> None:
    tables = re.findall(r"^\| column \| meaning \|\n\|[-| ]+\|\n((?:\|.*\n)+)", page.read_text(encoding="utf-8"), re.M)
    named = {row.split("|")[1].replace("`", "").strip() for table in tables for row in table.splitlines()}
    whole = {name for name in named if name in headings_of_views()}
    parts = {part.strip() for name in named - whole for part in name.split(", ")}
    assert parts - headings_of_views() == set()


def test_architecture_has_the_layers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = project["tool"]["importlinter"]["contracts"][0]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "\n".join(contract["layers"]) + "\n" in blocks(text, "text")


@pages()
def test_paragraphs_are_short(page: Path) -> None:
    if page.parent != ROOT / "docs" and page.parent.parent != ROOT / "docs":
        return  # the pages of the site
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    paragraphs = re.split(r"\n\n|\n(?= *(?:- |\d+\. |\|))", prose)
    assert [text[:60] for text in paragraphs if len(text) > 600 and not text.lstrip().startswith("|")] == []


def test_architecture_follows_a_batch_and_a_tap_through_functions_that_there_are() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("### Follow a batch and a tap through the code")[2].partition("## How data flows")[0]
    ways = [re.findall(r"^\d+\. (?:→ )?`([\w.]+)`$", part, re.MULTILINE) for part in section.split("And a tensor")]
    assert [len(way) for way in ways] == [12, 12]
    for name in (name for way in ways for name in way):
        assert pydoc.locate(name) is not None, name


def names_in_code(text: str) -> set[str]:
    """All inline code of a page."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"`([^`\n]+)`", prose))


OF_USERS = {"keras.py", "quantlab.lock", "quantlab.toml"}
"""Files of a user's folder that the pages name."""


def there_is(name: str, files: frozenset[str]) -> bool:
    """Whether a path of this checkout, a module or something in it, or a test is what inline code says it is.

    A name without a folder may be that of any file; whatever looks like none of these is taken to be there.
    """
    path, _, test = name.partition("::")
    if path in OF_USERS:
        return True
    if test:
        return path in files and f"\ndef {test}(" in (ROOT / path).read_text(encoding="utf-8")
    if re.fullmatch(r"(quantlab|converters|reports|docs|tests|benchmarks)/[\w./-]*", path):
        return (ROOT / path).exists()
    if re.fullmatch(r"[\w.-]+\.(py|mjs)", path):
        return any(file.endswith(f"/{path}") or file == path for file in files)
    if re.fullmatch(r"quantlab\w*(\.\w+)+", path):
        return pydoc.locate(path) is not None
    return True


@cache
def checkout_files() -> frozenset[str]:
    folders = ("quantlab", "converters", "reports", "docs", "tests", "benchmarks")
    paths = (path for folder in folders for path in (ROOT / folder).rglob("*.*") if "node_modules" not in path.parts)
    return frozenset(path.relative_to(ROOT).as_posix() for path in (*paths, *ROOT.glob("*.*")))


@pytest.mark.parametrize(
    ("name", "there"),
    [
        pytest.param("quantlab/names.py", True, id="a file"),
        pytest.param("quantlab/stores.py", False, id="no file"),
        pytest.param("tapped.py", True, id="the name of a file"),
        pytest.param("untapped.py", False, id="the name of no file"),
        pytest.param("quantlab.store.Store.read", True, id="a method"),
        pytest.param("quantlab.store.Store.reads", False, id="no method"),
        pytest.param("quantlab_reports.views.trials", True, id="a module"),
        pytest.param("tests/test_docs.py::test_names_in_a_page", True, id="a test"),
        pytest.param("tests/test_docs.py::test_names", False, id="no test"),
        pytest.param("quantlab.lock", True, id="a file of the user's"),
    ],
)
def test_names_in_a_page(name: str, there: bool) -> None:
    assert there_is(name, checkout_files()) == there


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_code_that_a_page_names_is_there(page: str) -> None:
    files = checkout_files()
    names = names_in_code((ROOT / page).read_text(encoding="utf-8"))
    assert {name for name in names if not there_is(name, files)} == set()


def test_each_law_names_code_that_keeps_it_and_tests_that_hold_it() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Laws")[2].partition("\n## ")[0]
    laws = re.split(r"^\d+\. (?=\*\*)", section, flags=re.MULTILINE)[1:]
    assert len(laws) == 10
    for law in laws:
        code, tests = (re.search(rf"^ +- {kind}: (.+)$", law, re.MULTILINE) for kind in ("Code", "Tests"))
        assert code is not None
        assert tests is not None
        assert all(name.startswith("quantlab") for name in names_in_code(code[1]))
        assert all("::test_" in name for name in names_in_code(tests[1]))


def test_every_package_says_what_it_is_for() -> None:
    packages = [*(ROOT / "quantlab").iterdir(), *(ROOT / "converters").iterdir(), *(ROOT / "reports").iterdir()]
    for package in (folder for folder in packages if (folder / "__init__.py").is_file()):
        text = (package / "README.md").read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60
        if package.name != "demo":
            assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:2] == ["Contract", "How a member is added"], package


def test_architecture_says_why_each_dependency_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    script = json.loads((ROOT / "quantlab" / "runtimes" / "js" / "package.json").read_text(encoding="utf-8"))
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    names = {re.split(r"[<>=~!;\[ ]", requirement)[0] for requirement in asked} | {
        *script["dependencies"],
        *script["devDependencies"],
    }
    section = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
    assert {name for name in names if f"`{name}`" not in section} == set()


@pages()
def test_no_page_names_a_place_on_one_machine(page: Path) -> None:
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users)/", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("view", ["layers", "weights", "ops", "split"])
def test_every_key_of_the_rows_inside_is_explained(view):
    text = (ROOT / "docs" / "json.md").read_text(encoding="utf-8").partition(f"## `quantlab show {view}`")[2]
    explained = {
        line.split("`")[1]
        for line in text.partition("\n## ")[0].splitlines()
        if line.startswith("| `") and line.split("|")[2].strip()
    }
    assert explained == {field.name for field in fields(VIEWS[view].kind)}
