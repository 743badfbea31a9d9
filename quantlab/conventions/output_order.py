"""The app gives the elements of an output in another order."""

from collections.abc import Iterator

import numpy as np

from quantlab.conventions.contract import OutputConvention, OutputFacts, OutputFamily

__all__ = ["OUTPUT_ORDER"]

_NAME = "output-order"
_MOST = 2000
"""The assignment takes about a second for so many elements, and its time grows with the third power."""


def _conventions(facts: OutputFacts) -> Iterator[OutputConvention]:
    """The order in which the elements of the model are nearest to those of the app, if it is another one."""
    from scipy.optimize import linear_sum_assignment  # imported here because SciPy is slow to import

    if facts.model.ndim != 2 or not 2 <= facts.model.shape[1] <= _MOST:
        return
    model, app = (values.astype(np.float64) for values in (facts.model, facts.app))
    if not (np.isfinite(model).all() and np.isfinite(app).all()):
        return
    # Squared distances of all pairs of columns, without an array of (n, columns, columns).
    apart = (app**2).sum(axis=0)[:, None] + (model**2).sum(axis=0)[None, :] - 2 * app.T @ model
    _, order = linear_sum_assignment(apart)
    if (order == np.arange(len(order))).all():
        return
    yield OutputConvention(
        _NAME,
        "outputs in another order",
        "the app gives the elements of the output in another order",
        lambda outputs, _: outputs[:, order],
    )


OUTPUT_ORDER = OutputFamily(_NAME, _conventions)
