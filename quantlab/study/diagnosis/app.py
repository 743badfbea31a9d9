"""Which convention reproduces the outputs of an app best: what the app does to the samples that Python does not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from quantlab.conventions import OUTPUT_FAMILIES, OutputFacts
from quantlab.statistics import holm, mcnemar_of_loss
from quantlab.study.app_outputs import LEAST_SHARE, AppOutputs
from quantlab.study.diagnosis.feeding import Array, Feeding
from quantlab.study.diagnosis.probe import LARGEST_P, SCREENED, FedConvention
from quantlab.types import STRAY_LIMIT, Reproduction

__all__ = ["reproduce"]

_AS_THEY_ARE = "the samples as they are"


def reproduce(
    feeding: Feeding, app: AppOutputs, as_is: Array, fed: Sequence[FedConvention], advance: Callable[[int], None]
) -> tuple[Reproduction, ...]:
    """Compare the app with the model, fed by each convention.

    Returns:
        The samples as they are and all conventions; those that were run on all samples first, the nearest first.
    """
    whole = slice(None)
    first = _reproduction("", _AS_THEY_ARE, None, "the app feeds the samples as they are", app, as_is)
    before = app.apart(as_is, whole)
    results, p = [], []
    for result in _of_outputs(app, as_is):
        results.append(result)
        p.append(_p(result))
    for one in fed:
        result = _fed(feeding, app, before, one)
        results.append(result)
        p.append(_p(result) if result.n == len(before) else 1.0)
        advance(1)
    for place, corrected in enumerate(holm(np.array(p, np.float64))):
        results[place] = replace(results[place], p=float(corrected))
    ranked = sorted([first, *results], key=lambda result: (-result.n, result.mean_abs, result.max_abs))
    best = ranked[0]
    enough = best.mean_abs <= (1 - LEAST_SHARE) * min(first.mean_abs, app.spread)
    named = best is not first and best.p <= LARGEST_P and enough and not first.equal
    return (replace(best, named=named), *ranked[1:])


def _of_outputs(app: AppOutputs, as_is: Array) -> Iterator[Reproduction]:
    facts = OutputFacts(as_is, app.values, app.probabilities)
    for family in OUTPUT_FAMILIES:
        for one in family.conventions(facts):
            outputs = one.apply(as_is, app.values)
            compared = replace(app, probabilities=False) if one.family == "softmax" else app
            apart = app.apart(outputs, slice(None))
            result = _reproduction(one.family, one.name, None, one.cause, compared, outputs)
            yield _against(result, app.changes(app.apart(as_is, slice(None)), apart))


def _fed(feeding: Feeding, app: AppOutputs, before: npt.NDArray[np.float64], one: FedConvention) -> Reproduction:
    """One convention on all samples, or on the first if it is not nearer on them."""
    convention, of = one.convention, (one.input, one.convention)
    outputs = feeding.outputs(of, slice(0, SCREENED))
    apart = app.apart(outputs, slice(0, len(outputs)))
    nearer, farther = app.changes(before, apart)
    if len(outputs) < len(before) and nearer > farther:
        rest = slice(SCREENED, len(before))
        outputs = np.concatenate([outputs, feeding.outputs(of, rest)])
        apart = app.apart(outputs, slice(None))
    cause = f"the app feeds what '{convention.name}' makes of the samples"
    result = _reproduction(convention.family, convention.name, one.input, cause, app, outputs)
    return _against(result, app.changes(before, apart))


def _reproduction(family: str, name: str, fed: str | None, cause: str, app: AppOutputs, outputs: Array) -> Reproduction:
    rows = slice(0, len(outputs))
    apart = app.apart(outputs, rows)
    largest = float(apart.max(initial=0.0))
    return Reproduction(
        family=family,
        name=name,
        input=fed,
        cause=cause,
        n=len(outputs),
        max_abs=largest,
        mean_abs=float(apart.mean()) if len(apart) else 0.0,
        same_top1=app.same_top1(outputs, rows),
        nearer=0,
        farther=0,
        p=1.0,
        equal=largest <= STRAY_LIMIT * app.largest,
    )


def _against(result: Reproduction, changes: tuple[int, int]) -> Reproduction:
    return replace(result, nearer=changes[0], farther=changes[1])


def _p(result: Reproduction) -> float:
    """One-sided p-value that no more samples came nearer than went farther away."""
    return float(mcnemar_of_loss(np.asarray(result.nearer), np.asarray(result.farther)))
