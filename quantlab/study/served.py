"""Finds out why a server answers otherwise than the artifact in Python: perhaps it expects samples in another range.

A scale that a client leaves out, or applies twice, is a frequent mistake. Some samples are sent again in other ranges;
what gives Python's outputs is what the server expects.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.conventions import PIXEL_RESCALINGS, Rescaling
from quantlab.differences import difference
from quantlab.errors import QuantlabError
from quantlab.names import two_digits
from quantlab.npy import mapped
from quantlab.samples import draw, labels_of
from quantlab.study.context import Context
from quantlab.study.run import Run, run_first
from quantlab.study.trial import run_of
from quantlab.types import STRAY_LIMIT, SampleSet, TensorSpec, Trial

__all__ = ["explain_servers"]

Array = npt.NDArray[Any]

_SAMPLES = 4
"""Number of samples that are sent in each range."""
_COMPARED = 64
"""Number of samples that tell whether the outputs differ: a server that expects another range differs on all."""


def explain_servers(
    context: Context,
    trials: Sequence[Trial],
    *,
    samples: SampleSet,
    outputs: Sequence[TensorSpec],
    batch_size: int,
) -> Iterator[str]:
    """A sentence for each server whose outputs are not those of the same artifact in Python.

    Args:
        context: The study.
        trials: All rows.
        samples: The samples that were run.
        outputs: The outputs of the reference, with the shapes that were observed.
        batch_size: Of the study.
    """
    served = [trial for trial in trials if _is_served(context, trial)]
    if not served:
        return
    in_python = {trial.setting: trial for trial in trials if trial.in_python}
    compared, sent = (_drawn(samples, count, context.options.seed) for count in (_COMPARED, _SAMPLES))
    for trial in served:
        runtime, python = context.registries.runtimes[trial.runtime], in_python.get(trial.setting)
        if python is None:
            continue
        clause = _difference_clause(python, trial, compared)
        if clause is None or trial.variant is None:
            continue
        begin = f"the server at {runtime.address} {clause}"
        run = run_of(context, trial.variant, runtime, outputs=outputs, batch_size=batch_size)
        wanted = {name: mapped(file)[sent] for name, file in python.outputs.items()}
        rescaling = next(
            (one for one in PIXEL_RESCALINGS if _reproduces(context, run, samples, one, sent, wanted)), None
        )
        if rescaling is None:
            yield f"{begin}; it serves another model or version, or its model prepares the samples in another way"
        else:
            yield (
                f"{begin}, and the same outputs for samples that are {rescaling.words}: its model expects other "
                f"values; send them so, or serve the model of this study"
            )


def _is_served(context: Context, trial: Trial) -> bool:
    """Whether a server was measured."""
    runtime = context.registries.runtimes.get(trial.runtime)
    return runtime is not None and runtime.address is not None and trial.status == "measured"


def _drawn(samples: SampleSet, count: int, seed: int) -> Array:
    """Positions of at most this many samples: a random sample, stratified by label."""
    return draw(min(count, samples.n), n=samples.n, labels=labels_of(samples), seed=seed)


def _difference_clause(python: Trial, served: Trial, places: Array) -> str | None:
    """How the server's outputs of some samples differ from Python's; None if they do not."""
    pairs = [(mapped(python.outputs[name])[places], mapped(file)[places]) for name, file in served.outputs.items()]
    apart = max(difference(here, there).share for here, there in pairs)
    if apart <= STRAY_LIMIT:
        return None
    return f"gives other outputs than {python.setting} in Python, by up to {two_digits(100 * apart)} % of the largest"


def _reproduces(
    context: Context, run: Run, samples: SampleSet, rescaling: Rescaling, places: Array, wanted: Mapping[str, Array]
) -> bool:
    """Whether some samples in another range have Python's outputs; False for samples that are no floats."""
    with tempfile.TemporaryDirectory(dir=context.store.work) as folder:
        other = replace(samples, folder=Path(folder), n=len(places))
        for spec in samples.inputs:
            values = mapped(samples.input_file(spec.name))[places]
            if values.dtype.kind != "f":
                return False
            np.save(other.input_file(spec.name), rescaling.apply(values).astype(values.dtype))
        try:
            answered = run_first(context, run, other, len(places))
        except QuantlabError:
            return False
        return all(difference(wanted[output], values).share <= STRAY_LIMIT for output, values in answered.items())
