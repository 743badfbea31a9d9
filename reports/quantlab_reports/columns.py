"""Chooses columns of a table by name: headings, or the keys that programs get."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from quantlab.errors import UsageError
from quantlab.names import excerpt, nearest
from quantlab_reports.figures import EMPTY, number, without_bar
from quantlab_reports.model import NOT_SHOWN, Table

__all__ = ["with_columns"]

_NOT_FINITE = {"NaN": "NaN", "Infinity": "∞", "-Infinity": "−∞"}


def with_columns(table: Table, asked: str) -> Table:
    """Return a table of some columns, in the order asked.

    Headings give the rows and the text that people read, keys the rows and values that programs read, each in every
    format. Names that are both, such as `setting`, leave the choice to the format.

    Args:
        table: The result of a view.
        asked: Comma-separated names; upper and lower case are the same. A heading may hold a comma.

    Raises:
        UsageError: If a name is neither, no name is given, or some are only headings and others only keys.
    """
    headings = (*table.headings, *table.unfilled)
    names = _names(asked, list(dict.fromkeys([*headings, *table.keys])))
    only_headings = [name for name in names if name not in table.keys]
    only_keys = [name for name in names if name not in headings]
    if only_headings and only_keys:
        raise UsageError(
            f"'{only_headings[0]}' is a heading and '{only_keys[0]}' is a key of the JSON, whose rows may differ; name "
            f"either headings or keys"
        )
    if only_keys:
        return _by_keys(table, names)
    chosen = _by_headings(table, names)
    if only_headings:
        rows = [dict(zip(names, map(without_bar, row), strict=True)) for row in chosen.cells]
        return replace(chosen, keys=tuple(names), records=tuple(rows))
    return replace(chosen, keys=tuple(names), records=_of_keys(table.records, names))


def _names(asked: str, known: Sequence[str]) -> list[str]:
    """Split the names, of which one may hold commas, and spell them as they are known."""
    spelled = {name.casefold(): name for name in reversed(known)}
    parts, names = asked.split(","), []
    while parts:
        for end in range(len(parts), 0, -1):
            name = spelled.get(",".join(parts[:end]).strip().casefold())
            if name is not None:
                break
        else:
            raise UsageError(f"there is no column '{excerpt(parts[0].strip())}'; {nearest(parts[0].strip(), known)}")
        names.append(name)
        parts = parts[end:]
    return list(dict.fromkeys(names))


def _by_headings(table: Table, names: Sequence[str]) -> Table:
    places = [table.headings.index(name) if name in table.headings else None for name in names]
    return replace(
        table,
        headings=tuple(names),
        numeric=tuple(place is not None and table.numeric[place] for place in places),
        cells=tuple(tuple(EMPTY if place is None else row[place] for place in places) for row in table.cells),
        unfilled=(),
    )


def _by_keys(table: Table, names: Sequence[str]) -> Table:
    records = _of_keys(table.records, names)
    return replace(
        table,
        headings=tuple(names),
        numeric=tuple(all(_is_figure(record[name]) for record in records) for name in names),
        cells=tuple(tuple(_text(value) for value in record.values()) for record in records),
        keys=tuple(names),
        records=records,
        below=tuple(line for line in table.below if not line.startswith(NOT_SHOWN)),
        unfilled=(),
    )


def _of_keys(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> tuple[dict[str, Any], ...]:
    return tuple({name: record[name] for name in names} for record in records)


def _is_figure(value: Any) -> bool:
    if isinstance(value, str):
        return value in _NOT_FINITE
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: Any) -> str:
    """A value for people, with as many digits as float32 has: three would round 99.96 to 100."""
    if value is None:
        return EMPTY
    if isinstance(value, str):
        return _NOT_FINITE.get(value, value)
    if isinstance(value, float):
        return number(value, 6)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    return json.dumps(value, ensure_ascii=False)
