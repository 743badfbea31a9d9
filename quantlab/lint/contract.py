"""The contract of a hazard: its sentences for people, the files it applies to, and the check that finds it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from quantlab.lint.subject import Kind, Subject
from quantlab.types.lint import Severity

__all__ = ["ANY", "ARTIFACTS", "KERAS", "MODELS", "Confirmed", "Evidence", "Hazard", "anchor"]

Confirmed = Literal["", "weights in 8 bits", "weights in float16", "times", "float32 check"]
"""A figure of a study."""

KERAS: tuple[Kind, ...] = ("Keras 3", "Keras 2")
MODELS: tuple[Kind, ...] = (*KERAS, "SavedModel", "ONNX")
ARTIFACTS: tuple[Kind, ...] = ("graph-model", "layers-model", "TFLite", "ONNX")
ANY: tuple[Kind, ...] = (*KERAS, "SavedModel", "graph-model", "layers-model", "TFLite", "ONNX")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One place where a check found its hazard."""

    where: str
    """Layer, tensor or op; empty if it concerns the whole file."""
    sentence: str
    """What happens there, with the values."""
    severity: Severity | None = None
    """None takes that of the hazard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """Descriptor of one hazard."""

    id: str
    """Upper-case words with hyphens; never changed, because users write it into `--ignore`."""
    severity: Severity
    title: str
    """What it is, in a few words, for the table of the documentation."""
    happens: str
    """What happens, and in which converter or runtime."""
    see: str
    """How to see it."""
    remedy: str
    """What to do."""
    kinds: tuple[Kind, ...]
    """Kinds of files that it applies to."""
    check: Callable[[Subject], Iterable[Evidence]]
    """Pure function from what was read of a file to the places where the hazard is."""
    confirmed_by: Confirmed = ""
    """Which figure of a study shows the hazard; empty if none does."""
    formats: tuple[str, ...] = ()
    """Formats whose float32 check shows the hazard of a model."""


def anchor(hazard: str) -> str:
    """Heading of a hazard in the documentation.

    >>> anchor("F16-OVERFLOW")
    'hazards.md#f16-overflow'
    """
    return f"hazards.md#{hazard.lower()}"
