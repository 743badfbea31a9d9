"""Makes tables fit a terminal: columns get narrower, and a table that is still too wide is divided into several."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from quantlab_reports.model import NOTES, Table
from quantlab_reports.renderings.grid import HEADING_PADDING, bound, unbound

__all__ = ["Part", "parts_of", "wrapped"]

_GAP = 2
"""Spaces between two columns."""
_NOTE_WIDTH = 60
"""Notes are sentences, which read badly in longer lines."""
_LEAST_TEXT = 12
"""Text is not folded narrower than this, nor within a word of up to the next."""
_LONGEST_WORD = 20
_COMFORTABLE_TEXT = 30
"""In a divided table, text is not folded narrower than this if the number of parts stays the same."""


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
    roomy = [
        least[place] if table.numeric[place] else min(natural[place], max(least[place], _COMFORTABLE_TEXT))
        for place in range(len(least))
    ]
    fewest, roomiest = list(_divided(table, least, width)), list(_divided(table, roomy, width))
    divided = roomiest if len(roomiest) == len(fewest) > 1 else fewest
    return [
        Part(
            _columns(table, places), tuple(_shrunk([natural[at] for at in places], [least[at] for at in places], width))
        )
        for places in divided
    ]


def wrapped(line: str, width: int | None, indent: int = 2) -> list[str]:
    """Wrap a line, and indent all lines but the first; words, names and figures with units stay whole.

    >>> wrapped("one two three", 8)
    ['one two', '  three']
    """
    if width is None or len(line) <= width:
        return [line]
    indent = indent if indent <= width // 2 else 4
    lines = textwrap.wrap(
        bound(line), width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return [unbound(part) for part in lines] or [line]


def _natural(table: Table, place: int) -> int:
    cells = [len(table.headings[place]) + HEADING_PADDING, *(len(row[place]) for row in table.cells)]
    return min(max(cells), _NOTE_WIDTH) if table.headings[place] == NOTES else max(cells)


def _least(table: Table, place: int) -> int:
    """Figures are never folded, headings and text are; a row's name stays whole unless it is very long."""
    cells = [row[place] for row in table.cells]
    heading = max(map(len, bound(table.headings[place]).split(" ")), default=0) + HEADING_PADDING
    longest = max(map(len, cells), default=0)
    if table.numeric[place]:
        return max(heading, longest)
    word = max((len(word) for cell in cells for word in bound(cell).split(" ")), default=0)
    text = longest if place == 0 else max(word, _LEAST_TEXT)
    return max(heading, min(text, _LONGEST_WORD))


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
    text = [place for place in range(len(least)) if not any(table.numeric[: place + 1])]
    names = [place for place in text if place == 0 or _total(least[: place + 1]) <= width // 2]
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
