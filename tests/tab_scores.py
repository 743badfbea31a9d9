"""The scores that Python computes of outputs, to compare with those of the page that runs in a tab."""

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.study.compare import Comparison
from quantlab.study.non_finite_words import left_out_note
from quantlab.study.task import Scoring
from quantlab.types import KeptOutputs, Scores, Task, TensorSpec, Timing, Trial

__all__ = ["Outputs", "compared_by_python", "differences", "given", "same"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Outputs:
    """The scored output of a study, of the reference and of one variant."""

    task: Task
    reference: Array
    candidate: Array
    labels: Array | None = None


def given(array: Array) -> dict[str, Any]:
    return {
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "data": base64.b64encode(np.ascontiguousarray(array).tobytes()).decode(),
    }


def compared_by_python(outputs: Outputs, folder: Path) -> tuple[Scores, Scores, list[str]]:
    """The scores of the variant and of the reference, and the notes of the variant's row, as a study has them."""
    for name, values in (("reference", outputs.reference), ("candidate", outputs.candidate)):
        np.save(folder / f"{name}.npy", values)
    scoring = Scoring(TensorSpec("out", (None, *outputs.reference.shape[1:]), "float32"), outputs.task, outputs.labels)
    kept = KeptOutputs({"out": folder / "reference.npy"}, "python", {}, Timing(0, 0.0))
    comparison = Comparison.open(scoring, kept)
    scores = comparison.of(folder / "candidate.npy")
    notes = [*comparison.notes(folder / "candidate.npy"), *left_out_note(Trial("x", "python", scores=scores))]
    return scores, comparison.of_reference(), notes


SMALLEST = 1e-12
"""A divergence in nats, or a difference of two sums, that is rounding error."""


def same(told: Any, expected: Any) -> bool:
    """Whether a figure of the tab is Python's: counts exactly, others to 1e-9 of their size."""
    if isinstance(expected, dict):
        return told is not None and all(same(told[key], value) for key, value in expected.items())
    if isinstance(expected, float) and isinstance(told, str):
        told = float(told.replace("Infinity", "inf"))
    if not isinstance(expected, float) or told is None:
        return bool(told == expected)
    if not math.isfinite(expected):
        return told == expected or (math.isnan(told) and math.isnan(expected))
    return math.isclose(told, expected, rel_tol=1e-9, abs_tol=SMALLEST)


def differences(told: Mapping[str, Any], expected: Scores) -> dict[str, tuple[Any, Any]]:
    """The figures that are not the same, of the tab and of Python; what the tab lacks must be None in Python."""
    return {
        name: (told.get(name), value) for name, value in asdict(expected).items() if not same(told.get(name), value)
    }
