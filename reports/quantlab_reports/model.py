"""The table model: a view makes columns and rows, a rendering prints them, and neither knows the other.

A table holds text for people, and the same rows as plain values with stable keys for programs.
"""

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, runtime_checkable

from quantlab.errors import UsageError
from quantlab.names import choose
from quantlab.store import json_number
from quantlab.types.notebooks import InNotebooks
from quantlab_reports.figures import EMPTY

__all__ = [
    "NOTES",
    "NOT_SHOWN",
    "CellAmong",
    "Column",
    "RowView",
    "Selection",
    "Table",
    "filled",
    "lines_of",
    "plain",
    "table_of",
]

NOTES = "notes"
"""The heading of a column of sentences, which text renderings wrap."""

NOT_SHOWN = "Not shown: "
"""Begins a line below a table about rows that only programs get."""


@runtime_checkable
class CellAmong(Protocol):
    """A function that makes the text of a cell, whose digits depend on the other rows."""

    def __call__(self, row: Any) -> str:
        """Return the text without knowing the other rows."""
        ...

    def among(self, rows: Sequence[Any]) -> Callable[[Any], str]:
        """Return the function for a table of these rows."""
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """A heading, and a function that makes the text of a cell from a row."""

    heading: str
    cell: Callable[[Any], str]
    numeric: bool = True

    def among(self, rows: Sequence[Any]) -> "Column":
        """Return the column for these rows; it is another one only if the cell depends on them."""
        return replace(self, cell=self.cell.among(rows)) if isinstance(self.cell, CellAmong) else self


@dataclass(frozen=True, slots=True)
class Table(InNotebooks):
    """The result of a view."""

    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    """Whether a column holds figures, which are aligned to the right."""
    cells: tuple[tuple[str, ...], ...]
    keys: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]
    """The rows as plain JSON values, each with all keys; there may be more rows than in the text."""
    above: tuple[str, ...] = ()
    """Lines above the table, warnings first."""
    below: tuple[str, ...] = ()
    """Lines below the table: where the figures come from, and how to read them."""
    code: tuple[str, ...] = ()
    """Lines of a command or program below all others; they are for copying, so no rendering changes them."""
    headed: bool = True
    """Whether plain text prints headings; without headings, rows read as sentences."""
    unfilled: tuple[str, ...] = ()
    """Headings of columns that are left out because no row has a value."""
    caption: str = ""
    """A caption as plain text, and `label` the name for references to the table; only LaTeX has them."""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows and columns of a view to show, and in which order."""

    setting: str | None = None
    runtime: str | None = None
    sort: str | None = None
    """A key of the view's `sorts`; None keeps the order of the view."""
    top: int | None = None
    wide: bool = False
    """Whether to show all figures; only for the view of trials."""
    settings: tuple[str, ...] = ()
    """All settings of the study; if a view has no row for one, its table is empty."""
    columns: str | None = None
    """Headings or keys, separated by commas, see `columns.py`; None shows the view's own columns."""


@dataclass(frozen=True, slots=True)
class RowView:
    """A view whose rows are instances of one dataclass."""

    kind: type
    """The dataclass; its fields are the keys for programs."""
    columns: tuple[Column, ...]
    sorts: Mapping[str, Callable[[Any], Any]]
    shown: Callable[[Any], bool] = lambda _: True
    """Whether the text shows a row; programs get all rows."""

    def table(self, rows: Sequence[Any], selection: Selection, below: Sequence[str] = ()) -> Table:
        """Return the table of the selected rows.

        Raises:
            UsageError: See `select`.
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
        """Filter rows by setting and runtime, and sort them; `top` is not applied yet.

        Raises:
            UsageError: If the order, setting or runtime is unknown.
        """
        chosen = _of(_of(list(rows), "setting", selection.setting, selection.settings), "runtime", selection.runtime)
        if selection.sort is not None:
            if selection.sort not in self.sorts:
                raise UsageError(f"there is no order '{selection.sort}'; choose from {', '.join(self.sorts)}")
            chosen.sort(key=self.sorts[selection.sort])
        return chosen


def _of(rows: list[Any], field: str, asked: str | None, known: Sequence[str] = ()) -> list[Any]:
    """Filter rows by a setting or runtime, given as a name or glob.

    Raises:
        UsageError: If neither a row nor one of `known` matches, or the rows have no such field.
    """
    if asked is None or not rows:
        return rows
    if not hasattr(rows[0], field):
        raise UsageError(
            f"this view has no column '{field}', because its rows are the same for every {field}; leave --{field} out"
        )
    wanted = choose(field, [asked], list(dict.fromkeys([*(getattr(row, field) for row in rows), *known])))
    return [row for row in rows if getattr(row, field) in wanted]


def lines_of(notes: Sequence[str], selection: Selection) -> list[str]:
    """Lines below a table: the notes, without those that name other settings than the selected ones."""
    if selection.setting is None:
        return [f"! {note}" for note in notes]
    lines = []
    for note in notes:
        named = [name for name in selection.settings if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", note)]
        if not named or any(fnmatch.fnmatch(name, selection.setting) for name in named):
            lines.append(f"! {note}")
    return lines


def table_of(
    columns: Sequence[Column],
    rows: Sequence[Any],
    *,
    keys: Sequence[str] = (),
    records: Sequence[Mapping[str, Any]] = (),
    above: Sequence[str] = (),
    below: Sequence[str] = (),
) -> Table:
    """Make a table of rows. Columns without any value are left out, unless there are no rows."""
    columns = [column.among(rows) for column in columns]
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
        unfilled=tuple(column.heading for place, column in enumerate(columns) if place not in kept),
    )


def filled(cells: Any) -> bool:
    """Whether any cell of a column has a value."""
    return any(cell.strip() not in {"", EMPTY} for cell in cells)


def plain(value: Any) -> Any:
    """Convert a value to plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(item) for key, item in asdict(value).items()}
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # a file name may contain bytes that are not valid text
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
