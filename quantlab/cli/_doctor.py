"""What works on this machine, tried rather than looked up."""

import functools
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from quantlab.errors import QuantlabError, UsageError
from quantlab.processes import python_environment
from quantlab.runtimes import browser, build_addon, find_addon, node

__all__ = ["Check", "build_runtime", "examine", "report"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is needed."""

    name: str
    works: bool
    found: str
    """What there is, or what is wrong and the command that mends it."""
    optional: bool = False
    """Whether only runtimes that are not used by default need it."""


def examine() -> list[Check]:
    """Try everything that a study needs, libraries two at a time; some seconds, since TensorFlow is imported often."""
    with ThreadPoolExecutor(2) as pool:
        imports = pool.map(lambda module: _check(f"import {module}", functools.partial(_import, module)), _MODULES)
        python = _check("Python", lambda: ".".join(str(part) for part in sys.version_info[:3]))
        return [python, *imports, *_programs()]


def _programs() -> list[Check]:
    return [
        _check("Node.js", lambda: " ".join(reversed(node.find_node()))),
        _check("tfjs in Node.js", lambda: _environment("tfjs")),
        _check("LiteRT.js in Node.js", lambda: _environment("tflite")),
        _check("ONNX Runtime in Node.js", lambda: _environment("onnx")),
        replace(_check("node-native", lambda: str(find_addon())), optional=True),
        replace(_check("Chromium, for chromium-*", _browser), optional=True),
    ]


_MODULES: Mapping[str, tuple[str, str]] = {
    "tensorflow": ("tensorflow", "import tensorflow"),
    "keras": ("keras", "import tensorflow, keras"),
    "tf_keras": ("tf_keras", "import tensorflow, tf_keras"),
    "tensorflowjs": ("tensorflowjs", "import tensorflow, tensorflowjs"),
    "ai_edge_litert.interpreter": ("ai-edge-litert", "import ai_edge_litert.interpreter"),
    "onnxruntime": ("onnxruntime", "import onnxruntime"),
    "tf2onnx": ("tf2onnx", "import tensorflow, tf2onnx"),
    "numba": ("numba", "import numba"),
}
"""Module → the distribution that has it, and how it is imported in a process of its own, as its user does."""


def _check(name: str, find: Callable[[], str]) -> Check:
    try:
        return Check(name, works=True, found=find())
    except QuantlabError as error:
        return Check(name, works=False, found=str(error))


def build_runtime(name: str) -> str:
    """Build a runtime that is not shipped ready; a sentence of where it is.

    Raises:
        UsageError: If there is no such runtime, or nothing to build of it.
        RuntimeUnavailable: If it cannot be built here.
    """
    if name not in _BUILDERS:
        raise UsageError(f"there is nothing to build for '{name}'; --build takes {', '.join(_BUILDERS)}")
    return f"{name} is built: {_BUILDERS[name]()}\n"


_BUILDERS: Mapping[str, Callable[[], Path]] = {"node-native": build_addon}


def _import(module: str) -> str:
    package, statement = _MODULES[module]
    try:
        found = version(package)
    except PackageNotFoundError as error:
        raise QuantlabError(f"not installed; 'pip install {package}' mends it") from error
    answer = subprocess.run(
        [sys.executable, "-c", statement],
        env=python_environment(onednn=False),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise QuantlabError(
            f"{found} does not import ({last[:200]}); 'pip install --force-reinstall quantlab' mends it"
        )
    return found


def _environment(format_name: str) -> str:
    return ", ".join(f"{name} {text}" for name, text in node.environment(format_name).items())


def _browser() -> str:
    program, found = browser.find_browser()
    return f"{found}, {program}; sandbox {browser.environment('tfjs')['sandbox']}"


def report(checks: list[Check]) -> str:
    """A line a check."""
    width = max(len(check.name) for check in checks)
    lines = [f"{_mark(check)} {check.name:{width}}  {check.found}" for check in checks]
    broken = sum(not check.works and not check.optional for check in checks)
    return "\n".join([*lines, "", f"{broken} of {len(checks)} need mending" if broken else "All works."])


def _mark(check: Check) -> str:
    if check.works:
        return "✓"
    return "·" if check.optional else "✗"
