"""Tables of the page: fewer columns than in a terminal, and notes below them instead of in a column."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from quantlab.names import joined
from quantlab_reports.model import NOTES, Table

__all__ = ["notes_of_rows", "same_sentences", "without_columns"]


def without_columns(table: Table, headings: Iterable[str] = (NOTES,)) -> Table:
    """The same table without some columns."""
    left_out = set(headings)
    kept = [place for place, heading in enumerate(table.headings) if heading not in left_out]
    return replace(
        table,
        headings=tuple(table.headings[place] for place in kept),
        numeric=tuple(table.numeric[place] for place in kept),
        cells=tuple(tuple(line[place] for place in kept) for line in table.cells),
    )


def notes_of_rows(rows: Sequence[tuple[str, str, Sequence[str]]]) -> list[str]:
    """A line for each different note, with the rows that have it.

    Args:
        rows: Setting, runtime and notes.
    """
    runtimes: dict[str, list[str]] = {}
    having: dict[str, dict[str, list[str]]] = {}
    for setting, runtime, notes in rows:
        runtimes.setdefault(setting, []).append(runtime)
        for note in dict.fromkeys(notes):
            having.setdefault(note, {}).setdefault(setting, []).append(runtime)
    told = []
    for note, settings in having.items():
        whole = [setting for setting, places in settings.items() if len(places) == len(runtimes[setting])]
        parts = [f"{setting} in {joined(places)}" for setting, places in settings.items() if setting not in whole]
        everywhere = len(whole) == len(runtimes) > 1
        told.append(f"{'All settings' if everywhere else joined([*whole, *parts])}: {note}")
    return told


def same_sentences(lines: Sequence[str], settings: Iterable[str]) -> list[str]:
    """Lines that begin with a setting and a colon; settings with the same sentence share a line."""
    known = set(settings)
    grouped: dict[str, list[str]] = {}
    for line in lines:
        name, colon, rest = line.partition(": ")
        if colon and name in known:
            grouped.setdefault(rest, []).append(name)
        else:
            grouped[line] = []
    return [f"{joined(names)}: {text}" if names else text for text, names in grouped.items()]
