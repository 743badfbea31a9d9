"""The one table model: a view gives columns and rows, a rendering prints them, and neither knows the other.

For people a table holds text, for programs the same rows as plain values under stable keys.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from quantlab.errors import UsageError
from quantlab.names import choose
from quantlab.store import json_number
from quantlab_reports.figures import EMPTY

__all__ = ["NOTES", "Column", "RowView", "Selection", "Table", "filled", "plain", "table_of"]

NOTES = "notes"
"""The heading of a column of sentences, which are wrapped where a table is narrow."""


@dataclass(frozen=True, slots=True)
class Column:
    """What stands above a column, and the text of its cell for a row."""

    heading: str
    cell: Callable[[Any], str]
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """What a view gives."""

    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    """Whether a column is of figures, which stand at the right."""
    cells: tuple[tuple[str, ...], ...]
    keys: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]
    """The rows as plain values that JSON has, each with all keys; they may be more than the text shows."""
    above: tuple[str, ...] = ()
    """Lines before the table, warnings first."""
    below: tuple[str, ...] = ()
    """Lines behind it: where the figures come from, and how to read them."""
    code: tuple[str, ...] = ()
    """Lines of a command or program below all others; they are for copying, so no rendering changes them."""
    headed: bool = True
    """Whether plain text needs headings; without them its rows read as sentences."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows are shown, in which order, and how much of each."""

    setting: str | None = None
    runtime: str | None = None
    sort: str | None = None
    """A key of the view's `sorts`; None is the view's own order."""
    top: int | None = None
    wide: bool = False
    """Whether people are shown every figure; of the trials alone."""


@dataclass(frozen=True, slots=True)
class RowView:
    """A view whose rows are values of one dataclass."""

    kind: type
    """Its fields are the keys for programs."""
    columns: tuple[Column, ...]
    sorts: Mapping[str, Callable[[Any], Any]]
    shown: Callable[[Any], bool] = lambda _: True
    """Which rows people are shown; programs get all."""

    def table(self, rows: Sequence[Any], selection: Selection, below: Sequence[str] = ()) -> Table:
        """The first of the selected rows.

        Raises:
            UsageError: As `select`.
        """
        chosen = self.select(rows, selection)
        keys = tuple(field.name for field in fields(self.kind))
        return table_of(
            self.columns,
            [row for row in chosen if self.shown(row)][: selection.top],
            keys=keys,
            records=[plain(row) for row in chosen[: selection.top]],
            below=below,
        )

    def select(self, rows: Sequence[Any], selection: Selection) -> list[Any]:
        """The rows of a setting and runtime, in the order that is asked for; not yet only the first.

        Raises:
            UsageError: If the order is none of the view's, or a setting or runtime none of the rows'.
        """
        chosen = _of(_of(list(rows), "setting", selection.setting), "runtime", selection.runtime)
        if selection.sort is not None:
            if selection.sort not in self.sorts:
                raise UsageError(f"there is no order '{selection.sort}'; choose from {', '.join(self.sorts)}")
            chosen.sort(key=self.sorts[selection.sort])
        return chosen


def _of(rows: list[Any], field: str, asked: str | None) -> list[Any]:
    """Those of a setting or runtime, by name or glob.

    Raises:
        UsageError: If it names none of them, or the rows are of no runtime.
    """
    if asked is None or not rows:
        return rows
    if not hasattr(rows[0], field):
        raise UsageError(
            f"this view has no column '{field}', because its rows are the same for every {field}; leave --{field} out"
        )
    wanted = choose(field, [asked], list(dict.fromkeys(getattr(row, field) for row in rows)))
    return [row for row in rows if getattr(row, field) in wanted]


def table_of(
    columns: Sequence[Column],
    rows: Sequence[Any],
    *,
    keys: Sequence[str] = (),
    records: Sequence[Mapping[str, Any]] = (),
    above: Sequence[str] = (),
    below: Sequence[str] = (),
) -> Table:
    """A table of rows; a column that is empty in every row is left out, none where there are no rows."""
    cells = [[column.cell(row) for column in columns] for row in rows]
    kept = [place for place in range(len(columns)) if not rows or filled(line[place] for line in cells)]
    return Table(
        headings=tuple(columns[place].heading for place in kept),
        numeric=tuple(columns[place].numeric for place in kept),
        cells=tuple(tuple(line[place] for place in kept) for line in cells),
        keys=tuple(keys),
        records=tuple(records),
        above=tuple(above),
        below=tuple(below),
    )


def filled(cells: Any) -> bool:
    """Whether any of a column's cells says something."""
    return any(cell.strip() not in {"", EMPTY} for cell in cells)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(item) for key, item in asdict(value).items()}
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # a file's name may hold bytes that are no text
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
