"""The view of runtimes: how each runtime differs from Python on the same artifact, and from which layer on.

JSON and CSV rows have the fields of `RuntimeRow` as keys.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from quantlab.gate import rounded_up
from quantlab.names import counted, joined
from quantlab.types import (
    AGAINST_FLOAT32,
    AGAINST_PYTHON,
    PYTHON,
    RUNTIME_MARGIN_POINTS,
    Equivalence,
    EquivalenceOutcome,
    Inside,
    LayerRow,
    Study,
    Trial,
)
from quantlab_reports.figures import EMPTY, fixed, number, share
from quantlab_reports.model import Column, RowView, Selection, Table, lines_of
from quantlab_reports.views.cells import count, figure, largest_first, text

__all__ = ["RUNTIMES", "RuntimeRow", "runtime_rows", "runtime_table", "sentences"]

HALF_PRECISION = 2.0**-11
"""Relative rounding error of float16: half the distance between neighbouring values."""


@dataclass(frozen=True, slots=True)
class RuntimeRow:
    """One artifact in one runtime, compared with the same artifact in Python."""

    setting: str
    """Name of the setting or of a given variant."""
    runtime: str
    """The requested runtime."""
    n: int
    """Number of compared samples."""
    max_abs: float | None
    """Largest absolute difference of the scored output; null if one side was not measured."""
    mean_abs: float | None
    """Mean absolute difference of the scored output."""
    different: float | None
    """Share of elements of the scored output that are not exactly equal."""
    agreement: float | None
    """Percentage of samples with the same top-1 as in Python; null without classes."""
    flips: int | None
    """Number of samples with a different top-1 than in Python."""
    first_different: str | None
    """First layer, in order of execution, that is not exactly equal to Python; null if all are equal."""
    first_beyond_half: str | None
    """First layer whose largest difference exceeds half precision: 2⁻¹¹ of the tensor's largest value."""
    compared: int
    """Number of compared tensors; 0 if the study did not compare layers."""
    reason: str | None
    """Why nothing was compared; otherwise null."""
    flips_upper: float | None = None
    """Exact one-sided 95 % upper bound of the percentage of samples with a different top-1; null without classes."""
    loss: float | None = None
    """Accuracy in Python minus accuracy in this runtime, in percentage points; null without labels."""
    loss_lower: float | None = None
    """One-sided 95 % lower bound of the loss; without labels, that of every labelling; null without classes."""
    loss_upper: float | None = None
    """One-sided 95 % upper bound of the loss, as above; both bounds form the 90 % interval."""
    margin: float | None = None
    """The margin of equivalence, in percentage points; null without classes."""
    equivalence: EquivalenceOutcome | None = None
    """`equivalent` if both bounds are within the margin; `different` if the whole interval is beyond it, at an error of
    5 % divided by the number of settings in the runtime; else `not shown`; or null."""


def runtime_rows(study: Study, inside: Inside | None) -> list[RuntimeRow]:
    """Return a row for every trial outside Python."""
    measured = {trial.setting for trial in study.trials if trial.in_python}
    layers = inside.layers if inside is not None else ()
    return [_row(trial, trial.setting in measured, layers) for trial in study.trials if trial.runtime != PYTHON]


def _row(trial: Trial, in_python: bool, layers: Sequence[LayerRow]) -> RuntimeRow:
    tensors = list(_against_python(trial, layers))
    n = trial.scores.n if trial.scores else 0
    flips = trial.flips_from_python
    return RuntimeRow(
        setting=trial.setting,
        runtime=trial.runtime,
        n=n,
        max_abs=trial.max_abs_from_python,
        mean_abs=trial.mean_abs_from_python,
        different=trial.different_from_python,
        agreement=None if flips is None or not n else 100 * (n - flips) / n,
        flips=flips,
        first_different=_first(tensors, lambda row: bool(row.different)),
        first_beyond_half=_first(tensors, _beyond_half),
        compared=len(tensors),
        reason=_reason(trial, in_python),
        **_equivalence(trial.equivalence),
    )


def _equivalence(compared: Equivalence | None) -> dict[str, Any]:
    if compared is None:
        return {}
    return {
        "flips_upper": compared.changed_upper,
        "loss": compared.accuracy_difference,
        "loss_lower": compared.lower,
        "loss_upper": compared.upper,
        "margin": RUNTIME_MARGIN_POINTS,
        "equivalence": compared.outcome(),
    }


def _reason(trial: Trial, in_python: bool) -> str | None:
    if trial.failure is not None:
        return trial.failure.reason
    return None if in_python else "no python baseline: the setting was not measured in python"


def _against_python(trial: Trial, layers: Sequence[LayerRow]) -> Iterator[LayerRow]:
    baseline = AGAINST_FLOAT32 if trial.is_float32 else AGAINST_PYTHON
    wanted = (trial.setting, trial.runtime, baseline, None)
    for row in layers:
        if row.aligned and (row.setting, row.runtime, row.baseline, row.channel) == wanted:
            yield row


def _first(rows: Sequence[LayerRow], parts: Callable[[LayerRow], bool]) -> str | None:
    first = min((row for row in rows if parts(row)), key=lambda row: row.place, default=None)
    return None if first is None else f"{first.layer} ({first.op})"


def _beyond_half(row: LayerRow) -> bool:
    if row.non_finite != row.non_finite_baseline:
        return True
    ends = [abs(end) for end in (row.baseline_minimum, row.baseline_maximum) if end is not None]
    return row.max_abs is not None and row.max_abs > HALF_PRECISION * max(ends, default=0.0)


def _at_most(upper: float | None) -> str:
    return EMPTY if upper is None else f"{rounded_up(upper)} %"


def _loss(row: RuntimeRow) -> str:
    if row.loss_lower is None or row.loss_upper is None:
        return EMPTY
    interval = f"[{fixed(row.loss_lower, 2)}, {fixed(row.loss_upper, 2)}]"
    return interval if row.loss is None else f"{fixed(row.loss, 2)} {interval}"


_OUTCOMES = {
    "equivalent": f"within {number(RUNTIME_MARGIN_POINTS)} pt",
    "different": f"no, by {number(RUNTIME_MARGIN_POINTS)} pt or more",
    "not shown": f"not shown within {number(RUNTIME_MARGIN_POINTS)} pt",
    None: EMPTY,
}

RUNTIMES = RowView(
    kind=RuntimeRow,
    sorts={
        "max": largest_first("max_abs"),
        "mean": largest_first("mean_abs"),
        "flips": largest_first("flips"),
    },
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("runtime", text("runtime"), numeric=False),
        Column("largest difference", figure("max_abs", 2)),
        Column("mean difference", figure("mean_abs", 2)),
        Column("different values", lambda row: share(row.different, 1)),
        Column("same top-1", lambda row: EMPTY if row.agreement is None else f"{fixed(row.agreement, 2)} %"),
        Column("different top-1", count("flips")),
        Column("different top-1, at most", lambda row: _at_most(row.flips_upper)),
        Column("loss from python, points [90 %]", _loss),
        Column("equivalent", lambda row: _OUTCOMES[row.equivalence]),
        Column("first different layer", lambda row: row.first_different or EMPTY, numeric=False),
        Column("first layer beyond half precision", lambda row: row.first_beyond_half or EMPTY, numeric=False),
        Column("why not compared", text("reason"), numeric=False),
    ),
)
"""The view of `quantlab show runtimes`."""


def runtime_table(study: Study, inside: Inside | None, selection: Selection) -> Table:
    """Return the table, with conclusions in sentences below."""
    rows = runtime_rows(study, inside)
    told = [row for row in RUNTIMES.select(rows, selection)[: selection.top] if row.reason is None]
    notes = lines_of(inside.notes, selection) if inside is not None else []
    return RUNTIMES.table(rows, selection, [*notes, *sentences(told), *_footer(inside)])


def sentences(rows: Sequence[RuntimeRow]) -> list[str]:
    """Summarize rows in sentences; runtimes with the same result share a sentence."""
    alike: dict[str, list[RuntimeRow]] = {}
    for row in rows:
        alike.setdefault(_sentence([replace(row, runtime="")]), []).append(row)
    return [_sentence(group) for group in alike.values()]


def _sentence(rows: Sequence[RuntimeRow]) -> str:
    first, *others = rows
    listed = joined([row.runtime for row in rows])
    if first.flips is not None:
        told = f"{'change' if others else 'changes'} the top-1 of {first.flips:,} of {first.n:,} samples against python"
        told += "" if first.flips_upper is None else f", which allows {rounded_up(first.flips_upper)} %"
    elif first.max_abs == 0:
        told = f"{'give' if others else 'gives'} the same values as python"
    else:
        told = f"{'differ' if others else 'differs'} from python by at most {number(first.max_abs, 2)}"
    return f"{first.setting}: {listed} {told}{_where(first)}"


def _where(row: RuntimeRow) -> str:
    if not row.compared:
        return ""
    if row.first_beyond_half is not None:
        return f"; first tensor beyond half precision: {row.first_beyond_half}"
    if row.first_different is None:
        return f"; all {row.compared} inner tensors are equal"
    return f"; no tensor is beyond half precision; first different tensor: {row.first_different}"


def _footer(inside: Inside | None) -> list[str]:
    if inside is None:
        return ["Inner tensors were not compared; run 'quantlab analyze' again without --no-layers"]
    return [f"Inner tensors were compared on {counted(inside.samples, 'sample')}"]
