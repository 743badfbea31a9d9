"""Which convention reproduces the outputs of an app best: what the app does to the samples that Python does not."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantlab.conventions import OUTPUT_FAMILIES, OutputFacts
from quantlab.errors import SamplesError
from quantlab.names import listed
from quantlab.samples import array_of_npz, indices_of, names_of_npz
from quantlab.statistics import answers_of, holm, mcnemar_of_loss
from quantlab.study.diagnosis.feeding import Array, Feeding
from quantlab.study.diagnosis.probe import LARGEST_P, SCREENED, FedConvention
from quantlab.types import STRAY_LIMIT, Reproduction, SampleSet

__all__ = ["AppOutputs", "read_app", "reproduce"]

_AS_THEY_ARE = "the samples as they are"

_LEAST_SHARE = 0.5
"""Least share of the mean difference that the nearest convention takes away, to be named: of that of the samples as
they are, and of that of the app's mean. A convention that makes outputs alike comes nearer to any app."""

_TIE = 0.01
"""Share of the largest output by which a sample must be nearer or farther to count: an app may round its outputs."""


@dataclass(frozen=True, slots=True)
class AppOutputs:
    """The outputs of an app for the samples, and how they are compared."""

    values: npt.NDArray[np.float64]
    """(n, …): in the order of `Feeding.order`, of the shape of the model's output."""
    classes: bool
    """Whether rows are scores of classes, so that their top-1 can be compared."""
    probabilities: bool
    """Whether the model's rows look like probabilities."""

    def apart(self, outputs: Array, rows: slice) -> npt.NDArray[np.float64]:
        """The largest difference of each sample, (k,); infinite where one of the two is not finite."""
        app = self.values[rows]
        with np.errstate(invalid="ignore"):
            apart = np.abs(outputs.astype(np.float64) - app).reshape(len(app), -1).max(axis=1, initial=0.0)
        return np.where(np.isfinite(apart), apart, np.inf)

    def same_top1(self, outputs: Array, rows: slice) -> float | None:
        """Percent of samples with the same top-1; None without classes."""
        if not self.classes:
            return None
        ones, others = (answers_of(values, probabilities=self.probabilities) for values in (outputs, self.values[rows]))
        return 100 * float(np.mean((ones == others) & (ones >= 0)))

    @property
    def largest(self) -> float:
        """The largest output of the app; 0 if none is finite."""
        return float(np.abs(self.values[np.isfinite(self.values)]).max(initial=0.0))

    def changes(self, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> tuple[int, int]:
        """How many of the first samples came nearer, and how many went farther away, from two sets of differences."""
        own, tie = before[: len(after)], _TIE * self.largest
        return int(np.count_nonzero(after < own - tie)), int(np.count_nonzero(after > own + tie))

    @property
    def spread(self) -> float:
        """Mean of the largest difference of each sample from the mean of all; infinite if one is not finite."""
        with np.errstate(invalid="ignore"):
            mean = self.values.mean(axis=0, keepdims=True)
        return float(self.apart(np.broadcast_to(mean, self.values.shape), slice(None)).mean())


def read_app(path: Path, samples: SampleSet, output: str, as_is: Array, *, others: Collection[str] = ()) -> Array:
    """The outputs of an app for the samples, (n, …), in the order of the sample set and the shape of the model's.

    Args:
        path: A `.npz` file with an array for the output, by its name; a single array may have any name but that of
            another output of the model.
        samples: The samples that are compared, which may be a part of the source.
        output: Name of the output.
        as_is: (n, …): the model's output.
        others: Names of the model's other outputs.

    Raises:
        SamplesError: If the file is missing or damaged, has no such array, or another number or shape of outputs.
    """
    names = names_of_npz(path, text=str(path))
    name = output if output in names or len(names) != 1 else names[0]
    if name not in names or name in others:
        raise SamplesError(
            f"'{path}' has no array '{output}', but {listed(names)}; name the arrays after the outputs of the model"
        )
    values = array_of_npz(path, name, text=str(path))
    if values.ndim == 0 or len(values) != samples.available or values.dtype.kind not in "biuf":
        raise SamplesError(
            f"'{path}' holds {values.dtype.name} of shape {values.shape} for the output '{output}', and "
            f"'{samples.source}' has {samples.available:,} samples; give one output for each sample, in their order"
        )
    if int(np.prod(values.shape[1:], dtype=np.int64)) != int(np.prod(as_is.shape[1:], dtype=np.int64)):
        raise SamplesError(
            f"'{path}' holds outputs of shape {values.shape[1:]}, and the output '{output}' of the model has "
            f"{as_is.shape[1:]}; give the same output of the app"
        )
    return values[indices_of(samples)].reshape(as_is.shape)


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
    enough = best.mean_abs <= (1 - _LEAST_SHARE) * min(first.mean_abs, app.spread)
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
