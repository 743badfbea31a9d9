"""The view of samples: those that change most in each trial, one row for each.

JSON and CSV rows have the fields of `quantlab.types.SampleRow` as keys.
"""

import math
from dataclasses import replace

from quantlab.types import SampleRow, Study
from quantlab_reports.figures import EMPTY, fixed, number, percent, with_sign
from quantlab_reports.model import Column, RowView, Selection, Table
from quantlab_reports.sample_changes import LISTED, changes_of_trials, chosen_trials
from quantlab_reports.views.cells import largest_first, text

__all__ = ["SAMPLES", "answer", "change_of", "sample_table", "value_of"]


def answer(row: SampleRow, side: str) -> str:
    """What the model (`before`) or the setting (`after`) answers: a class with its probability, or a value."""
    name, probability = getattr(row, f"answer_{side}"), getattr(row, f"probability_{side}")
    if name is not None:
        return str(name) if probability is None or math.isnan(probability) else f"{name} {percent(probability)}"
    return value_of(row, side)


def value_of(row: SampleRow, name: str) -> str:
    """The target, an output, an error or the change, with the same decimals, which tell them apart.

    >>> row = SampleRow("a", "python", 0, 0, "", "became worse", target=17.6, before=20.0, after=22.0444, change=2.04)
    >>> value_of(row, "before"), value_of(row, "after"), value_of(row, "error_before")
    ('20.00', '22.04', '–')
    """
    keys = ("target", "before", "after", "error_before", "error_after")
    known = [abs(value) for key in keys if (value := getattr(row, key)) is not None and math.isfinite(value)]
    largest, change = max(known, default=0.0), abs(row.change or 0.0)
    shown: float | None = getattr(row, name)
    if not math.isfinite(change) or not change or not _SMALL <= largest < _LARGE:
        return number(shown)
    # Three digits of the change, and of the values as many as float32 has.
    decimals = min(2 - math.floor(math.log10(change)), _FLOAT32_DIGITS - 1 - math.floor(math.log10(largest)))
    return fixed(shown, max(decimals, 0))


_FLOAT32_DIGITS = 7
_SMALL, _LARGE = 1e-3, 1e6
"""Between them, values are written without an exponent."""


def _target(row: SampleRow) -> str:
    return row.label or value_of(row, "target")


def change_of(row: SampleRow) -> str:
    """The change with its sign; without one where nothing says what is better."""
    if row.change is None:
        return EMPTY
    text = value_of(row, "change")
    return text if row.kind == "moved" else with_sign(text)


SAMPLES = RowView(
    kind=SampleRow,
    sorts={"change": largest_first("change"), "sample": lambda row: row.index},
    columns=(
        Column("setting", text("setting"), numeric=False),
        Column("runtime", text("runtime"), numeric=False),
        Column("sample", lambda row: row.file or f"{row.index}", numeric=False),
        Column("what", text("kind"), numeric=False),
        Column("label or target", _target),
        Column("before", lambda row: answer(row, "before")),
        Column("after", lambda row: answer(row, "after")),
        Column("element", lambda row: ", ".join(map(str, row.element)) or EMPTY, numeric=False),
        Column("error before", lambda row: value_of(row, "error_before")),
        Column("error after", lambda row: value_of(row, "error_after")),
        Column("change", change_of),
    ),
)


def sample_table(study: Study, selection: Selection) -> Table:
    """Return the table of the samples that change most, of all trials that were measured."""
    found = list(changes_of_trials(study, chosen_trials(study, selection)))
    table = SAMPLES.table([row for one in found for row in one.samples], selection, [])
    return _with_lines(table, most=max((count for one in found for count in one.by_kind.values()), default=0))


def _with_lines(table: Table, *, most: int) -> Table:
    lines = ["Samples without a file name have their position in the source, from 0"]
    if most > LISTED:
        lines.append(f"At most {LISTED} samples of each kind are listed for a trial; the view 'changes' counts all")
    if not table.records:
        lines = ["No sample changed"]
    return replace(table, below=(*table.below, *lines))
