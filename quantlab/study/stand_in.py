"""Checks variants that run in Python with another library than the one they are made for.

Keras reads the configuration of a layers-model as it was written. TensorFlow.js ignores arguments that it does not know
or refuses to load the file, so figures measured in Python alone would be those of another model.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import MissingOp, QuantlabError, RuntimeUnavailable
from quantlab.npy import mapped
from quantlab.processes import describe
from quantlab.runtimes import Runtime
from quantlab.study.context import Context
from quantlab.study.run import Run, run_first
from quantlab.types import KeptOutputs, SampleSet

__all__ = ["Apart", "check_stand_in", "how_far"]

_SAMPLES = 4
_TOLERANCE = 0.01
"""Allowed difference, as a share of the largest value: kernels differ by less, another computation by more."""


def check_stand_in(context: Context, run: Run, kept: KeptOutputs, samples: SampleSet) -> tuple[str | None, str | None]:
    """Why the figures of a run in Python are not those of the artifact where it is shipped, and a note for its row.

    Args:
        context: The study.
        run: The run in Python, of a format whose executor stands in for the library that the artifact is made for.
        kept: Its outputs.
        samples: Its samples, of which the first few are checked.

    Returns:
        The reason, None if the same outputs come from JavaScript; and a note if it could not be checked.
    """
    runtime, format_ = _javascript(context, run), run.format
    if runtime is None or format_ is None or format_.javascript is None:
        return None, None
    label = format_.javascript.label
    try:
        here = replace(run, runtime=runtime, environment=runtime.environment(format_))
        outputs = run_first(context, here, samples, min(_SAMPLES, samples.n))
    except (RuntimeUnavailable, MissingOp) as error:
        return None, f"not checked in {label}: {error}"
    except QuantlabError as error:
        return f"{label} cannot run it, although Python can: {describe(error)}", None
    apart = {name: how_far(mapped(kept.files[name])[: len(there)], there) for name, there in outputs.items()}
    clause = next((clause for name, how in apart.items() if (clause := _apart(name, how)) is not None), None)
    if clause is None:
        return None, None
    return (
        f"{label} gives other outputs than Python: {clause}, so it reads an argument of a layer otherwise or ignores it"
    ), None


@dataclass(frozen=True, slots=True)
class Apart:
    """How far the outputs of a few samples are apart, where those of Python are finite."""

    samples: int
    difference: float
    """Largest absolute difference; infinite if one of the others is not finite."""
    largest: float
    """Largest absolute value in Python."""


def how_far(python: npt.NDArray[Any], there: npt.NDArray[Any]) -> Apart:
    """Compare outputs of the same samples; those on which Python's are NaN or infinite tell nothing about a library.

    Args:
        python: (n, …), any numbers.
        there: The same shape.
    """
    expected, actual = (values.astype(np.float64).reshape(len(values), -1) for values in (python, there))
    finite = np.isfinite(expected).all(axis=1)
    expected, actual = expected[finite], actual[finite]
    with np.errstate(invalid="ignore"):
        difference = np.where(np.isfinite(actual), np.abs(actual - expected), np.inf)
    return Apart(len(expected), float(difference.max(initial=0.0)), float(np.abs(expected).max(initial=0.0)))


def _apart(name: str, how: Apart) -> str | None:
    """A clause about an output that differs; None if it does not."""
    if how.difference <= _TOLERANCE * how.largest:
        return None
    if how.difference == math.inf:
        return f"'{name}' is NaN or infinite on some of {how.samples} samples on which it is finite in Python"
    return f"'{name}' differs by up to {how.difference:.2g} on {how.samples} samples"


def _javascript(context: Context, run: Run) -> Runtime | None:
    """The first JavaScript runtime that runs the format and is used by default."""
    runtimes = context.registries.runtimes.values()
    fitting = (runtime for runtime in runtimes if runtime.backend and runtime.default)
    return next((runtime for runtime in fitting if run.format is not None and runtime.runs(run.format)), None)
