"""All views. A new view is a file and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quantlab.formats import Format
from quantlab.store import Store
from quantlab_reports.model import Selection, Table
from quantlab_reports.views.calibration import CALIBRATION, calibration_table
from quantlab_reports.views.candidates import CANDIDATES, candidate_table
from quantlab_reports.views.changes import CHANGES, change_table
from quantlab_reports.views.costs import COSTS, cost_table
from quantlab_reports.views.duplicates import DUPLICATES, duplicate_table
from quantlab_reports.views.layers import LAYERS, layer_table
from quantlab_reports.views.ops import OPS, op_table
from quantlab_reports.views.outputs import OUTPUTS, output_table
from quantlab_reports.views.runtimes import RUNTIMES, runtime_table
from quantlab_reports.views.samples import SAMPLES, sample_table
from quantlab_reports.views.split import SPLIT, split_table
from quantlab_reports.views.trials import trial_table
from quantlab_reports.views.weights import WEIGHTS, weight_table

__all__ = ["VIEWS", "View"]


@dataclass(frozen=True, slots=True)
class View:
    """A view: a function that reads a study and makes a table."""

    table: Callable[[Store, Selection, Mapping[str, Format]], Table]
    """Makes a table from a stored study, a selection and the formats.

    It raises the errors of `Store` and `RowView`.
    """
    sorts: tuple[str, ...] = ()
    """Names for `--sort`."""
    kind: type | None = None
    """The dataclass whose fields are the keys of JSON and CSV; None if the keys are listed elsewhere."""
    whole: bool = False
    """Whether all rows are always shown, in one order; such a view may have more columns if it is wide."""


def _imported(store: Store) -> tuple[tuple[str, str], ...]:
    """Setting and runtime of each imported row."""
    return tuple((trial.setting, trial.runtime) for trial in store.read_study().trials if trial.imported)


VIEWS: Mapping[str, View] = {
    "table": View(
        lambda store, selection, formats: trial_table(store.read_study(), wide=selection.wide, formats=formats),
        whole=True,
    ),
    "costs": View(
        lambda store, selection, _: cost_table(store.read_study(), store.read_costs(), selection),
        tuple(COSTS.sorts),
        COSTS.kind,
    ),
    "runtimes": View(
        lambda store, selection, _: runtime_table(store.read_study(), store.inside_or_none(), selection),
        tuple(RUNTIMES.sorts),
        RUNTIMES.kind,
    ),
    "changes": View(
        lambda store, selection, _: change_table(store.read_study(), selection), tuple(CHANGES.sorts), CHANGES.kind
    ),
    "samples": View(
        lambda store, selection, _: sample_table(store.read_study(), selection), tuple(SAMPLES.sorts), SAMPLES.kind
    ),
    "outputs": View(
        lambda store, selection, _: output_table(store.read_study(), store.read_outputs(), selection),
        tuple(OUTPUTS.sorts),
        OUTPUTS.kind,
    ),
    "layers": View(
        lambda store, selection, _: layer_table(store.read_inside(), selection, _imported(store)),
        tuple(LAYERS.sorts),
        LAYERS.kind,
    ),
    "weights": View(
        lambda store, selection, _: weight_table(store.read_inside("comparison of weights"), selection),
        tuple(WEIGHTS.sorts),
        WEIGHTS.kind,
    ),
    "ops": View(
        lambda store, selection, _: op_table(store.read_inside("list of ops"), selection), tuple(OPS.sorts), OPS.kind
    ),
    "split": View(
        lambda store, selection, _: split_table(store.read_inside("split of the loss"), selection),
        tuple(SPLIT.sorts),
        SPLIT.kind,
    ),
    "candidates": View(
        lambda store, selection, _: candidate_table(store.read_tuning(), selection),
        tuple(CANDIDATES.sorts),
        CANDIDATES.kind,
    ),
    "duplicates": View(
        lambda store, selection, _: duplicate_table(store.read_duplicates(), selection),
        tuple(DUPLICATES.sorts),
        DUPLICATES.kind,
    ),
    "calibration": View(
        lambda store, selection, _: calibration_table(store.read_calibration(), selection),
        tuple(CALIBRATION.sorts),
        CALIBRATION.kind,
    ),
}
"""All views of `quantlab show` by name."""
