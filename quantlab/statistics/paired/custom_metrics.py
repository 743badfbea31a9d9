"""Metrics of the user: `module:function:higher`, called as `function(outputs, labels)` with a whole set of samples."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.errors import UsageError
from quantlab.statistics.paired.bootstrap import WholeSets
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.types import Direction
from quantlab.user_modules import load_function

__all__ = ["load_metric", "whole_sets"]

Metric = Callable[[NDArray[Any], NDArray[Any]], Any]


def load_metric(text: str) -> tuple[Metric, Direction]:
    """Import a metric `module:function:higher` or `module:function:lower`; the current folder is searched too.

    Raises:
        UsageError: If the text has another form, or the module or the function cannot be loaded.
    """
    module_name, _, rest = text.partition(":")
    name, _, direction = rest.partition(":")
    if direction not in ("higher", "lower") or not module_name or not name:
        raise UsageError(
            f"the metric '{text}' does not state which direction is better; "
            f"write '{module_name or 'module'}:{name or 'function'}:higher' or "
            f"'{module_name or 'module'}:{name or 'function'}:lower'"
        )
    function = load_function(f"{module_name}:{name}", refused=UsageError)
    return function, "higher" if direction == "higher" else "lower"


def whole_sets(function: Metric, name: str, reference: ReferenceSamples, candidate: CandidateSamples) -> WholeSets:
    """Wrap a user's function for resampling; its errors become a `UsageError` with the metric's name."""
    labels = np.asarray(reference.labels)

    def of(outputs: NDArray[Any]) -> Callable[[NDArray[np.intp] | slice], float]:
        return lambda these: _call(function, name, outputs[these], labels[these])

    return WholeSets(n=reference.n, reference=of(reference.outputs), candidate=of(candidate.outputs))


def _call(function: Metric, name: str, outputs: NDArray[Any], labels: NDArray[Any]) -> float:
    try:
        value = np.asarray(function(outputs, labels))
    except (Exception, SystemExit) as error:  # a user's function may raise anything
        raise UsageError(
            f"the metric '{name}' raised {type(error).__name__} ({error}) on outputs of shape {outputs.shape} with "
            f"labels of shape {labels.shape}; it is called with the whole set and with resamples of it, in which a "
            "class may be missing"
        ) from error
    if value.shape != () or value.dtype.kind not in "biuf":
        raise UsageError(f"the metric '{name}' returned {_kind(value)}; it must return one number for the whole set")
    return float(value)


def _kind(value: NDArray[Any]) -> str:
    return f"an array of shape {value.shape}" if value.shape else f"'{value.item()}'"
