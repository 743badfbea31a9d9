"""Checks variants that run in Python with another library than the one they are made for.

Keras reads the configuration of a layers-model as it was written. TensorFlow.js ignores arguments that it does not know
or refuses to load the file, so figures measured in Python alone would be those of another model.
"""

import math
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from quantlab.differences import difference
from quantlab.errors import MissingOp, QuantlabError, RuntimeUnavailable
from quantlab.names import counted
from quantlab.npy import mapped
from quantlab.processes import describe
from quantlab.runtimes import Runtime
from quantlab.statistics import finite_samples
from quantlab.study.context import Context
from quantlab.study.run import Run, run_first
from quantlab.types import KeptOutputs, SampleSet

__all__ = ["apart", "check_stand_in"]

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
    clauses = (apart(name, mapped(kept.files[name])[: len(there)], there) for name, there in outputs.items())
    clause = next(filter(None, clauses), None)
    if clause is None:
        return None, None
    return (
        f"{label} gives other outputs than Python: {clause}, so it reads an argument of a layer otherwise or ignores it"
    ), None


def apart(output: str, python: npt.NDArray[Any], there: npt.NDArray[Any]) -> str | None:
    """A clause about an output that is another one in JavaScript than in Python; None if it is not.

    Samples on which Python's is NaN or infinite tell nothing about a library.

    Args:
        output: Its name.
        python: (n, …), any numbers.
        there: The same shape.
    """
    finite = finite_samples(python)
    compared = difference(python[finite], there[finite])
    if compared.share <= _TOLERANCE:
        return None
    samples = counted(int(finite.sum()), "sample")
    if compared.largest == math.inf:
        return f"'{output}' is NaN or infinite on some of {samples} on which it is finite in Python"
    return f"'{output}' differs by up to {compared.largest:.2g} on {samples}"


def _javascript(context: Context, run: Run) -> Runtime | None:
    """The first JavaScript runtime that runs the format and is used by default."""
    runtimes = context.registries.runtimes.values()
    fitting = (runtime for runtime in runtimes if runtime.backend and runtime.default)
    return next((runtime for runtime in fitting if run.format is not None and runtime.runs(run.format)), None)
