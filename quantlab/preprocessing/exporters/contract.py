"""The contract of an exporter, and the files that all exporters share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from quantlab.types import Pipeline

__all__ = ["Exporter", "fixed_files", "listed_numbers", "rounding", "step"]

_FILES = Path(__file__).parent / "files"


@dataclass(frozen=True, slots=True)
class Exporter:
    """Code in one language."""

    title: str
    """What is written, as in `An ES module on TensorFlow.js`."""
    files: Callable[[Pipeline], Mapping[str, str]]
    """Function from a pipeline to the text of each file, by its path in the folder."""
    use: str
    """Lines of code that use it."""
    test: str
    """The command that runs its test."""
    tolerance: Callable[[Pipeline], float]
    """Largest difference from Python that its test allows, in the values of the tensor."""
    differences: Callable[[Pipeline], tuple[str, ...]]
    """Where it cannot equal Python, as sentences for the README; empty if it always does."""
    runs_alone: bool = True
    """Whether the test runs in the folder as it is written; otherwise it needs the project of an application."""

    @property
    def where(self) -> str:
        """Where its test runs, as words behind the command."""
        return "in this folder" if self.runs_alone else "in the project of your application, with these files in it"


def fixed_files(name: str) -> dict[str, str]:
    """Read the files that are the same for all pipelines; `.txt` at the end of a name is dropped."""
    folder = _FILES / name
    return {path.name.removesuffix(".txt"): path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def step(pipeline: Pipeline) -> float:
    """How much a tensor changes with one step of a pixel, the largest of all channels."""
    return max(map(abs, pipeline.scale))


def rounding(pipeline: Pipeline) -> float:
    """How much the last bits of float32 values may differ if a multiplication and an addition are each rounded."""
    largest = max(abs(255 * step(pipeline)), *map(abs, pipeline.offset))
    return float(2 * largest * 2**-23)


def listed_numbers(values: tuple[float, ...]) -> str:
    """Write numbers so that every language reads the same float64.

    >>> listed_numbers((0.1, -1.0))
    '0.1, -1.0'
    """
    return ", ".join(map(repr, values))
