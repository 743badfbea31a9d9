"""The releases that a bisection tried, as a table."""

from dataclasses import fields

from quantlab.names import counted, joined
from quantlab.types.bisecting import Bisection, TriedRelease
from quantlab_reports.figures import number
from quantlab_reports.model import Column, Table, plain, table_of

__all__ = ["bisection_table"]


def bisection_table(done: Bisection) -> Table:
    """Return a row for each release that was tried, in the order of their versions; above it what was found."""
    columns = [
        Column(done.package, lambda row: row.version, numeric=False),
        Column("outputs are those of", _outcome, numeric=False),
        Column(f"largest difference from {done.tried[0].version}", lambda row: _number(row.from_good)),
        Column(f"from {done.tried[-1].version}", lambda row: _number(row.from_bad)),
    ]
    if any(row.changed is not None for row in done.tried):
        columns.append(Column("changed answers", lambda row: "–" if row.changed is None else f"{row.changed:,}"))
    columns.append(Column("notes", lambda row: row.reason or "", numeric=False))
    return table_of(
        columns,
        list(done.tried),
        keys=[field.name for field in fields(TriedRelease)],
        records=[plain(row) for row in done.tried],
        above=(_found(done),),
        below=(
            (
                f"'{done.output}' of {done.setting} on {counted(done.n, 'sample')}; a release is good if it is nearer "
                f"to the good end by the largest difference, and the ends differ by {number(done.difference)}"
            ),
        ),
    )


def _found(done: Bisection) -> str:
    if not done.between:
        return (
            f"{done.package} {done.first_bad} moved the outputs of {done.setting}: those of {done.last_good} are good"
        )
    where = f"between {done.package} {done.last_good} and {done.first_bad}"
    return f"the outputs of {done.setting} moved {where}; {joined([*done.between])} could not be tried"


def _outcome(row: TriedRelease) -> str:
    return {"good": "the good end", "bad": "the bad end", "skipped": "not tried"}[row.outcome]


def _number(value: float | None) -> str:
    return "–" if value is None else number(value)
