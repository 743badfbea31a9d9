"""Makes tables fit a terminal: columns get narrower, and a table that is still too wide is divided into several."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from quantlab_reports.model import NOTES, Table
from quantlab_reports.renderings.grid import HEADING_PADDING

__all__ = ["Part", "parts_of", "wrapped"]

_GAP = 2
"""Spaces between two columns."""
_NOTE_WIDTH = 60
"""Notes are sentences, which read badly in longer lines."""
_LEAST_TEXT = 12
"""Text is not folded narrower than this."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some columns of a table, and the width of each."""

    table: Table
    widths: tuple[int, ...]


def parts_of(table: Table, width: int | None) -> list[Part]:
    """The tables to print below each other, one if the table fits.

    Args:
        table: What to print.
        width: Of the terminal, in characters; None leaves every column as wide as its cells, notes excepted.
    """
    if not table.headings:
        return [Part(table, ())]
    natural = [_natural(table, place) for place in range(len(table.headings))]
    if width is None:
        return [Part(table, tuple(natural))]
    least = [min(_least(table, place), natural[place]) for place in range(len(table.headings))]
    return [
        Part(
            _columns(table, places), tuple(_shrunk([natural[at] for at in places], [least[at] for at in places], width))
        )
        for places in _divided(table, least, width)
    ]


def wrapped(line: str, width: int | None, indent: int = 2) -> list[str]:
    """A line as lines that fit, all but the first indented; words and names stay whole.

    >>> wrapped("one two three", 8)
    ['one two', '  three']
    """
    if width is None or len(line) <= width:
        return [line]
    indent = indent if indent <= width // 2 else 4
    return textwrap.wrap(
        line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    ) or [line]


def _natural(table: Table, place: int) -> int:
    cells = [len(table.headings[place]) + HEADING_PADDING, *(len(row[place]) for row in table.cells)]
    return min(max(cells), _NOTE_WIDTH) if table.headings[place] == NOTES else max(cells)


def _least(table: Table, place: int) -> int:
    """Figures are never folded, headings and text are; a row's name stays whole unless it is very long."""
    word = max(map(len, table.headings[place].split()), default=0) + HEADING_PADDING
    cells = max((len(row[place]) for row in table.cells), default=0)
    if table.numeric[place]:
        return max(word, cells)
    return max(word, min(cells, 2 * _LEAST_TEXT) if place == 0 else _LEAST_TEXT)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _shrunk(widths: list[int], least: Sequence[int], width: int) -> list[int]:
    """The widest column that can be narrower gives up a character until all fit."""
    while _total(widths) > width:
        places = [place for place in range(len(widths)) if widths[place] > least[place]]
        if not places:
            break
        widths[max(places, key=widths.__getitem__)] -= 1
    return widths


def _divided(table: Table, least: Sequence[int], width: int) -> Iterator[list[int]]:
    """Places of the columns of each part; the names at the left of a row are repeated in every part."""
    names = [place for place in range(len(least)) if not any(table.numeric[: place + 1])]
    if len(names) == len(least) or _total([least[place] for place in names]) > width // 2:
        names = [0]
    part = list(names)
    for place in (place for place in range(len(least)) if place not in names):
        if len(part) > len(names) and _total([least[at] for at in (*part, place)]) > width:
            yield part
            part = list(names)
        part.append(place)
    yield part


def _columns(table: Table, places: Sequence[int]) -> Table:
    return replace(
        table,
        headings=tuple(table.headings[place] for place in places),
        numeric=tuple(table.numeric[place] for place in places),
        cells=tuple(tuple(row[place] for place in places) for row in table.cells),
    )
