"""Programs that run a sub-graph without quantlab, and print how far its output is from two files."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["EXPECTED", "OUTPUT", "Comparison", "Program", "python_program"]

EXPECTED, OUTPUT = "expected.npy", "output.npy"
"""Files with the baseline's output, and with the output in the runtime."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a program compares; all of its files are in its own folder."""

    subgraph: str
    """Name of the sub-graph's file or folder."""
    inputs: tuple[str, ...]
    """Names of `.npy` files, in the order of the sub-graph's inputs."""
    backend: str
    """Backend of the runtime that gave the output; empty for Python."""
    runtime: str
    """Name of the runtime."""
    environment: Mapping[str, str]
    """Versions and flags of its run."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is written beside a sub-graph."""

    files: Mapping[str, str]
    """Name of each file → its text."""
    how: str
    """How it is run, as Markdown that begins a sentence: `` `python compare.py` ``."""


def python_program(comparison: Comparison, lines: str) -> Program:
    """A program in Python.

    Args:
        comparison: What it compares.
        lines: Lines that run the sub-graph on the arrays `inputs`, and assign `outputs`.
    """
    where = "# this program runs the sub-graph in Python, which gives expected.npy"
    elsewhere = [f"# output.npy is of '{comparison.runtime}';", where] if comparison.backend else []
    text = "\n".join(
        [
            '"""Runs the sub-graph, and prints how far its output is from expected.npy and output.npy."""',
            "",
            "import numpy as np",
            "",
            *elsewhere,
            f"inputs = [np.load(name) for name in {list(comparison.inputs)!r}]",
            lines,
            f'for name in ("{EXPECTED}", "{OUTPUT}"):',
            "    difference = np.abs(outputs[0].astype(np.float64) - np.load(name).astype(np.float64)).max()",
            '    print(f"largest difference from {name}: {difference:.6g}")',
            "",
        ]
    )
    return Program({"compare.py": text}, "`python compare.py`")
