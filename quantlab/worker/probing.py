"""Asks the reference, on a few samples, whether it always answers alike, and whether Keras answers as its export."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.differences import difference
from quantlab.errors import TrialError
from quantlab.models import KerasCalls
from quantlab.runtimes.exchange import Job
from quantlab.types.messages import OutputShape, Probed
from quantlab.types.reference import STRAY_LIMIT
from quantlab.worker.reference import open_once

__all__ = ["probed"]

Array = npt.NDArray[Any]
_Call = Callable[[Sequence[Array]], list[Array] | None]

_FEW = 8
"""Samples that run one by one, and in Keras: there without a graph, whose making would take longer than the calls."""


def probed(job: Job, batch: Sequence[Array]) -> Probed:
    """Call the reference on a batch twice, on some of it sample by sample, and in Keras.

    Raises:
        TrialError: If an output does not begin with the batch.
    """
    reference = open_once(job)
    call = reference.call
    first, again = call(batch), call(batch)
    _check_batch(first, job)
    count = min(_FEW, job.stop - job.start)
    few = [values[:count] for values in batch]
    one_by_one = [call([values[i : i + 1] for values in few]) for i in range(count)]
    single = [np.concatenate(rows) for rows in zip(*one_by_one, strict=True)]
    repeated = _apart(first, again)
    as_keras, as_predict = _beside_keras(reference.keras, few, call, stable=repeated <= STRAY_LIMIT)
    return Probed(
        outputs=tuple(OutputShape(output.shape[1:], output.dtype.name) for output in first),
        again=repeated,
        single=_apart([output[:count] for output in first], single),
        call=as_keras,
        predict=as_predict,
    )


def _beside_keras(
    keras: KerasCalls | None, few: Sequence[Array], call: _Call, *, stable: bool
) -> tuple[float | None, float | None]:
    """How far `model(x)` and `model.predict(x)` are from the export on one batch; None where that tells nothing."""
    if keras is None:
        return None, None
    exported = call(few) or []
    return _beside(exported, keras.call, few, stable=stable), _beside(exported, keras.predict, few, stable=stable)


def _beside(exported: Sequence[Array], call: _Call, few: Sequence[Array], *, stable: bool) -> float | None:
    """One of the two.

    Where the export does not repeat itself and this call does not either, their difference is noise.
    """
    answer = call(few)
    if answer is None or [one.shape for one in answer] != [one.shape for one in exported]:
        return None
    apart = _apart(*_finite(exported, answer))
    if stable or apart <= STRAY_LIMIT:
        return apart
    again = call(few)
    return None if again is None or _apart(answer, again) > STRAY_LIMIT else apart


def _finite(ones: Sequence[Array], others: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Only the samples on which all outputs of both are finite: with a graph, ReLU may answer NaN with 0."""
    finite = np.all([np.isfinite(output.reshape(len(output), -1)).all(axis=1) for output in (*ones, *others)], axis=0)
    return [output[finite] for output in ones], [output[finite] for output in others]


def _check_batch(outputs: Sequence[Array], job: Job) -> None:
    for output in outputs:
        if output.ndim == 0 or len(output) != job.stop - job.start:
            raise TrialError(
                f"the model answers a batch of {job.stop - job.start} with an output of shape {output.shape}, "
                f"so outputs of single samples cannot be identified; export it with the batch as the first dimension"
            )


def _apart(ones: Sequence[Array], others: Sequence[Array]) -> float:
    """The largest difference over all outputs, as a share of the largest value of each."""
    return max(difference(one, other).share for one, other in zip(ones, others, strict=True))
