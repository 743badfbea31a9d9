"""Prints at the end of a run how often TensorFlow was imported, and by which programs (see `imports_counted`)."""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tensorflow_imports import VARIABLE, note_from_now_on

__all__ = ["COUNTED", "Import", "imports", "pytest_terminal_summary", "start_counting", "summary"]


@dataclass(frozen=True, slots=True)
class Import:
    """A process that imported TensorFlow."""

    command: tuple[str, ...]
    test: str
    """The test that ran when the process started, and its phase; empty outside tests."""

    @property
    def kind(self) -> str:
        """Who imported it."""
        if "quantlab.worker.fork_server" in self.command:
            return "fork servers"
        if "doctor" in self.test:
            return "quantlab doctor"
        if "recipe" in self.test:
            return "recipes, as users run them"
        if any("tensorflowjs" in word or "tf2onnx" in word for word in self.command):
            return "official programs"
        if "pytest" in self.command or any("stdin.readline" in word for word in self.command):  # as xdist's workers are
            return "processes that run tests"
        return "other programs of the tests"


COUNTED = str(Path(__file__).parent / "imports_counted")
"""For the PYTHONPATH of a program that is to be counted too, and finds nothing else of ours."""

APART = ("quantlab doctor", "recipes, as users run them", "official programs")
"""What must import it by itself, since that is what is tested."""


def start_counting() -> None:
    """Make a file for this run, which the workers of pytest-xdist share, and have every Python program write to it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        descriptor, os.environ[VARIABLE] = tempfile.mkstemp(prefix="quantlab-imports-", suffix=".jsonl")
        os.close(descriptor)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (COUNTED, os.environ.get("PYTHONPATH"))))
    note_from_now_on()


def imports(file: Path) -> list[Import]:
    """Those that were noted so far."""
    lines = map(json.loads, file.read_text().splitlines())
    return [Import(tuple(line["command"]), line["test"]) for line in lines]


def summary(made: Sequence[Import]) -> list[str]:
    """The lines that tell it: our own first, which should be few."""
    counts = Counter(imported.kind for imported in made)
    own = [imported for imported in made if imported.kind not in APART]
    return [
        f"{len(own)} by our own processes",
        *sorted(f"    {imported.kind}: {imported.test or 'outside tests'}" for imported in own),
        *(f"{counts[kind]} by {kind}, counted apart" for kind in APART if counts[kind]),
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell it at the end of a run."""
    file = Path(os.environ[VARIABLE])
    terminalreporter.section("imports of TensorFlow")
    for line in summary(imports(file)):
        terminalreporter.write_line(line)
    file.unlink()
