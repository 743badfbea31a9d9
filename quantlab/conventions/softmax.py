"""The app gives scores where the model gives probabilities, or applies softmax once more."""

from collections.abc import Iterator

import numpy as np

from quantlab.conventions.contract import Array, OutputConvention, OutputFacts, OutputFamily

__all__ = ["SOFTMAX"]

_NAME = "softmax"


def _conventions(facts: OutputFacts) -> Iterator[OutputConvention]:
    if facts.model.ndim != 2 or facts.model.shape[1] < 2:
        return
    if facts.probabilities:
        yield OutputConvention(_NAME, "softmax twice", "the app applies softmax to probabilities", _softmax)
        yield OutputConvention(_NAME, "no softmax", "the app gives what is before the softmax", _logits)
    else:
        yield OutputConvention(_NAME, "softmax", "the app applies softmax and the model does not", _softmax)


def _softmax(outputs: Array, _: Array) -> Array:
    values = outputs.astype(np.float64)
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _logits(outputs: Array, app: Array) -> Array:
    """The logarithms of probabilities, with the mean of the app's scores in each row: softmax leaves the mean open."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = np.log(outputs.astype(np.float64))
        return np.asarray(scores - scores.mean(axis=-1, keepdims=True) + app.mean(axis=-1, keepdims=True))


SOFTMAX = OutputFamily(_NAME, _conventions)
