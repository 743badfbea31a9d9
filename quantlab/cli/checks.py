"""Checks of this machine. Each check runs what it checks instead of only looking for it."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from quantlab.errors import QuantlabError, UsageError
from quantlab.formats import FORMATS, Format
from quantlab.processes import python_environment
from quantlab.processes.signals import ending_of
from quantlab.runtimes import browser, build_addon, find_addon, node

__all__ = ["Check", "build_runtime", "examine", "failures_of", "report"]


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement of quantlab, and whether it works."""

    name: str
    works: bool
    detail: str
    """What was found, or what is wrong and the command that fixes it."""
    optional: bool = False
    """Whether only runtimes need it that are not used by default."""


def examine(formats: Mapping[str, Format] = FORMATS) -> list[Check]:
    """Run all checks. This takes some seconds, because TensorFlow is imported."""
    with ThreadPoolExecutor(len(_LIBRARIES)) as pool:
        failures = [pool.submit(failures_of, modules) for modules in _LIBRARIES]
        python = _check("Python", lambda: ".".join(str(part) for part in sys.version_info[:3]))
        programs = _programs(formats)
    imports = [
        _check(f"import {module}", functools.partial(_installed, package, failed.result().get(module)))
        for modules, failed in zip(_LIBRARIES, failures, strict=True)
        for module, package in modules.items()
    ]
    return [python, *imports, *programs]


def _programs(formats: Mapping[str, Format]) -> list[Check]:
    return [
        _check("Node.js", lambda: " ".join(reversed(node.find_node()))),
        *(
            _check(f"{label} in Node.js", functools.partial(_environment, format_))
            for label, format_ in _bundled(formats).items()
        ),
        replace(_check("node-native", lambda: str(find_addon())), optional=True),
        replace(_check("Chromium (for chromium-*)", functools.partial(_browser, formats)), optional=True),
    ]


_LIBRARIES: tuple[Mapping[str, str], ...] = (
    {
        "tensorflow": "tensorflow",
        "keras": "keras",
        "tf_keras": "tf_keras",
        "tensorflowjs": "tensorflowjs",
        "tf2onnx": "tf2onnx",
    },
    {"ai_edge_litert.interpreter": "ai-edge-litert", "onnxruntime": "onnxruntime", "numba": "numba"},
)
"""Module → distribution. One process imports the modules of a group one after the other."""

_SAYS = "quantlab doctor: "

_IMPORT = f"""
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        error = None
    except (Exception, SystemExit) as raised:
        while raised.__cause__ or raised.__context__:
            raised = raised.__cause__ or raised.__context__
        error = f"{{type(raised).__name__}}: {{str(raised).strip()}}"
    print("\\n{_SAYS}" + json.dumps([name, error]), flush=True)
"""
"""The program of that process. It reports the first cause of a failure; other output of libraries is ignored."""


def _check(name: str, find: Callable[[], str]) -> Check:
    try:
        return Check(name, works=True, detail=find())
    except QuantlabError as error:
        return Check(name, works=False, detail=str(error))


def build_runtime(name: str) -> str:
    """Build a runtime that is not part of the package, and return a sentence that says where it is.

    Raises:
        UsageError: If the runtime is unknown or cannot be built.
        RuntimeUnavailable: If it cannot be built here.
    """
    if name not in _BUILDERS:
        raise UsageError(f"'{name}' cannot be built; --build takes {', '.join(_BUILDERS)}")
    return f"built {name}: {_BUILDERS[name]()}\n"


_BUILDERS: Mapping[str, Callable[[], Path]] = {"node-native": build_addon}


def failures_of(modules: Iterable[str]) -> dict[str, str]:
    """Return the modules that cannot be imported, with reasons.

    A module that ends the importing process is reported, and a new process imports the others.
    """
    failed: dict[str, str] = {}
    rest = list(modules)
    while rest:
        answer = subprocess.run(
            [sys.executable, "-P", "-c", _IMPORT, *rest],
            env={**os.environ, **python_environment(onednn=False)},
            capture_output=True,
            text=True,
            check=False,
        )
        for name, error in _said(answer.stdout):
            rest.remove(name)
            if error is not None:
                failed[name] = error
        if rest:
            last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
            failed[rest.pop(0)] = f"it {ending_of(answer.returncode)}: {last}"
    return failed


def _said(output: str) -> Iterator[tuple[str, str | None]]:
    """Read our lines of the output: a module, and why it cannot be imported."""
    for line in output.splitlines():
        if line.startswith(_SAYS):
            name, error = json.loads(line.removeprefix(_SAYS))
            yield name, error


def _installed(package: str, failure: str | None) -> str:
    try:
        installed = version(package)
    except PackageNotFoundError as error:
        raise QuantlabError(f"not installed; run 'pip install {package}'") from error
    if failure is not None:
        reason = failure.splitlines()[0][:200]
        raise QuantlabError(f"{installed} cannot be imported ({reason}); run 'pip install --force-reinstall quantlab'")
    return installed


def _bundled(formats: Mapping[str, Format]) -> dict[str, Format]:
    """JavaScript library → first format that it runs."""
    bundled: dict[str, Format] = {}
    for format_ in formats.values():
        if format_.javascript is not None:
            bundled.setdefault(format_.javascript.label, format_)
    return bundled


def _environment(format_: Format) -> str:
    return ", ".join(f"{name} {text}" for name, text in node.environment(format_).items())


def _browser(formats: Mapping[str, Format]) -> str:
    program = browser.find_browser()
    return (
        f"{program.version}, {program.program}; sandbox {browser.environment(next(iter(formats.values())))['sandbox']}"
    )


def report(checks: list[Check]) -> str:
    """Return one line for each check, and a summary."""
    width = max(len(check.name) for check in checks)
    lines = [f"{_mark(check)} {check.name:{width}}  {check.detail}" for check in checks]
    broken = sum(not check.works and not check.optional for check in checks)
    return "\n".join(
        [*lines, "", f"{broken} of {len(checks)} checks failed" if broken else "All required checks passed."]
    )


def _mark(check: Check) -> str:
    if check.works:
        return "✓"
    return "·" if check.optional else "✗"
