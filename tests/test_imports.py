"""Imports: public names exist, slow libraries are imported only when needed, and layers are respected."""

import ast
import importlib
import importlib.util
import json
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import quantlab
from quantlab import errors
from quantlab.formats import FORMATS
from quantlab.runtimes import RUNTIMES
from quantlab.settings import SETTINGS

ROOT = Path(__file__).parents[1]
PACKAGES = ("quantlab", "quantlab_converters", "quantlab_reports")
HEAVY = {
    "PIL",
    "ai_edge_litert",
    "h5py",
    "keras",
    "numpy",
    "rich",
    "scipy",
    "sklearn",
    "tensorflow",
    "tensorflowjs",
    "tf_keras",
}


def modules() -> list[str]:
    names = []
    for package in PACKAGES:
        folder = importlib.import_module(package).__path__
        names += [package, *(module.name for module in pkgutil.walk_packages(folder, f"{package}."))]
    return sorted(name for name in names if not name.endswith("__main__"))


MODULES = modules()


def test_every_module_is_found():
    assert {
        "quantlab.cli.app",
        "quantlab.study.options",
        "quantlab_converters.tfjs",
        "quantlab_reports.renderings.latex",
    } <= {*MODULES}


# Public names


@pytest.mark.parametrize("name", quantlab.__all__)
def test_a_public_name_resolves_to_what_its_home_has(name):
    value = getattr(quantlab, name)
    assert value is getattr(importlib.import_module(quantlab._HOMES[name]), name)
    assert name in dir(quantlab)


def test_the_type_checker_is_told_the_same_names():
    tree = ast.parse((ROOT / "quantlab" / "__init__.py").read_text(encoding="utf-8"))
    told = {
        alias.asname: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    told.pop(None, None)  # `from typing import …`
    assert told == quantlab._HOMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError) as missing:
        quantlab.analyse  # noqa: B018 (that it raises is what is tested)
    assert str(missing.value) == "module 'quantlab' has no attribute 'analyse'"


@pytest.mark.parametrize("name", MODULES)
def test_names_that_a_module_calls_public_are_there(name):
    module = importlib.import_module(name)
    public = getattr(module, "__all__", ())
    assert len(set(public)) == len(public)
    assert [exported for exported in public if not hasattr(module, exported)] == []


@dataclass(frozen=True, slots=True)
class Source:
    """What tests look at in a module: its `from … import`, and its strings, docstrings aside."""

    imports: list[ast.ImportFrom]
    strings: list[ast.Constant]


@cache
def source_of(name: str) -> Source:
    """Parsed once for all tests; the rest of the tree is not kept, since that of all modules is large."""
    module = importlib.import_module(name)
    nodes = list(ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))))
    documentation = {
        id(node.value) for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in documentation]
    return Source(
        [node for node in nodes if isinstance(node, ast.ImportFrom)],
        [constant for constant in constants if isinstance(constant.value, str)],
    )


@pytest.mark.parametrize("name", MODULES)
def test_what_other_modules_import_is_public(name):
    """A name without `__all__`'s leave may go at any time."""
    borrowed = [
        f"{node.module}.{alias.name}"
        for node in source_of(name).imports
        if (node.module or "").partition(".")[0] in PACKAGES
        for alias in node.names
        if not _public(node.module, alias.name)
    ]
    assert borrowed == []


def _public(module: str, name: str) -> bool:
    home = importlib.import_module(module)
    if not hasattr(home, "__all__"):
        return not name.startswith("_")
    return name in home.__all__ or (
        hasattr(home, "__path__") and importlib.util.find_spec(f"{module}.{name}") is not None
    )


def test_an_older_name_works_with_a_warning():
    with pytest.warns(DeprecationWarning, match="SamplesError"):
        assert errors.CalibrationError is errors.SamplesError
    with pytest.raises(AttributeError, match="has no attribute 'NoSuchError'"):
        _ = errors.NoSuchError


# What is heavy


LOADER = """
import contextlib, json, sys
loaded = []
for program, arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    with contextlib.suppress(SystemExit):
        exec(program)
    loaded.append(sorted(sys.modules))
print(json.dumps(loaded), file=sys.stderr)
"""


def loaded_by(programs: Sequence[tuple[str, list[str]]]) -> list[set[str]]:
    """The packages that a fresh Python has loaded after each of some programs, which run one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", LOADER, json.dumps(programs)], capture_output=True, text=True, check=False
    )
    loaded = json.loads(done.stderr.splitlines()[-1])
    return [{name.partition(".")[0] for name in names} for names in loaded]


COMMAND = "from quantlab.cli import run; run(sys.argv[1:])"


def test_nothing_heavy_is_loaded_by_what_is_light():
    """`import quantlab`, names that are light, help texts, and a command that there is not."""
    programs = [
        ("import quantlab", []),
        ("import quantlab; quantlab.SETTINGS; quantlab.QuantlabError", []),
        (COMMAND, ["--help"]),
        (COMMAND, ["analyze", "--help"]),
        (COMMAND, ["show", "--help"]),
        (COMMAND, ["zeal"]),
    ]
    loaded = loaded_by(programs)
    assert {"quantlab", "typer"} <= loaded[-1]
    assert [packages & HEAVY for packages in loaded] == [set()] * len(programs)


def test_no_library_of_models_is_loaded_by_commands_that_need_none():
    arguments = (["settings"], ["show", "nowhere.study"], ["analyze", "nowhere.keras", "--data", "x.npz"])
    heavy = HEAVY - {"numpy", "PIL", "h5py", "scipy"}
    loaded = loaded_by([(COMMAND, words) for words in arguments])
    assert [packages & heavy for packages in loaded] == [set()] * len(arguments)


def test_what_a_gate_computes_loads_no_distributions():
    """`scipy.stats` takes longer to import than all else in a gate."""
    program = "import sys; from quantlab.statistics import mcnemar, tango"
    program += "; mcnemar(3, 1), tango(3, 1, n=9); print('scipy.special' in sys.modules, 'scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


# Layers


def test_layers():
    done = subprocess.run(
        [shutil.which("lint-imports", path=str(Path(sys.executable).parent)) or "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Contracts: 13 kept, 0 broken." in done.stdout


# Names of members

GENERAL = ("quantlab.study", "quantlab.statistics", "quantlab.gate", "quantlab_reports")
"""What knows members of families through their registries alone."""


def member_names() -> set[str]:
    """Formats, schemes, settings and runtimes."""
    return {*FORMATS, *SETTINGS, *RUNTIMES, *(setting.scheme for setting in SETTINGS.values())}


def member_literals(module: str, names: set[str]) -> list[str]:
    """Strings of a module, docstrings aside, that name a member, with their lines."""
    strings = source_of(module).strings
    return [f"{module}:{node.lineno} {node.value!r}" for node in strings if names_a_member(node.value, names)]


def names_a_member(text: str, names: set[str]) -> bool:
    return text in names or "-float32" in text


def test_no_member_is_named_where_all_are_meant():
    modules, names = [name for name in MODULES if name.startswith(GENERAL)], member_names()
    assert len(modules) > 80
    assert [literal for module in modules for literal in member_literals(module, names)] == []
