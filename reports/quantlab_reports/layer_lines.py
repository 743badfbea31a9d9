"""The layers of each setting as a line, and one order of execution for the settings of all formats."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quantlab.types import AGAINST_REFERENCE, PYTHON, Inside, LayerRow
from quantlab_reports.subject import Subject

__all__ = ["HIGHEST_DB", "MOST_LINES", "DrawnLines", "Line", "Step", "drawn_lines", "lines_of_layers", "merged"]

HIGHEST_DB = 100.0
"""SQNR above which a setting is not drawn: nobody looks for errors there."""
MOST_LINES = 6
"""Lines whose colours and markers people tell apart."""

Step = tuple[str, int]
"""A layer of the reference, and which of its tensors in the variant: the first is 0."""


@dataclass(frozen=True, slots=True)
class Line:
    """The layers of one setting in one runtime."""

    setting: str
    runtime: str
    rows: tuple[LayerRow, ...]
    """In the order of execution; each has an SQNR that is no NaN."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """The step of each row; no two are equal."""
        met: Counter[str] = Counter()
        found = []
        for row in self.rows:
            found.append((row.layer, met[row.layer]))
            met[row.layer] += 1
        return tuple(found)

    @property
    def adds_most(self) -> LayerRow | None:
        """The layer after which the relative error grew most; None if none has grown."""
        grown = [row for row in self.rows if (row.relative_rms_growth or 0.0) > 0]
        return max(grown, key=lambda row: row.relative_rms_growth or 0.0, default=None)

    @property
    def worst(self) -> float:
        """The lowest SQNR in decibels."""
        return min(row.sqnr_db for row in self.rows if row.sqnr_db is not None)


@dataclass(frozen=True, slots=True)
class DrawnLines:
    """The lines of a chart, at most `MOST_LINES`, and the order of their layers."""

    lines: tuple[Line, ...]
    """The recommended setting first, then the worst ones."""
    order: tuple[Step, ...]
    """All steps of these lines, in the order of execution."""
    whole_order: tuple[Step, ...]
    """The same with the steps of the lines that are not drawn."""
    left_out: int
    """Lines for which there is no room."""

    def places(self, line: Line) -> list[int]:
        """Position of each row of a line in the common order, from 0."""
        known = {step: place for place, step in enumerate(self.order)}
        return [known[step] for step in line.steps]

    def readers(self, line: Line) -> dict[str, int]:
        """Layer → number of the row of a line whose op reads its weights.

        If the setting has no tensor of a layer, the next one has taken it in.
        """
        known = {step: place for place, step in enumerate(self.whole_order)}
        rows = sorted((known[step], row) for row, step in enumerate(line.steps))
        found = {}
        for place, (layer, count) in enumerate(self.whole_order):
            after = bisect_left(rows, (place, 0))
            if count == 0 and after < len(rows):
                found[layer] = rows[after][1]
        return found


def lines_of_layers(inside: Inside) -> list[Line]:
    """The settings whose layers were compared, the worst first: each in Python, or where it was read first."""
    found: dict[str, dict[str, list[LayerRow]]] = {}
    for row in inside.layers:
        if row.baseline == AGAINST_REFERENCE and row.aligned and row.channel is None and row.sqnr_db is not None:
            found.setdefault(row.setting, {}).setdefault(row.runtime, []).append(row)
    made = []
    for setting, runtimes in found.items():
        runtime = PYTHON if PYTHON in runtimes else next(iter(runtimes))
        rows = sorted(runtimes[runtime], key=lambda row: row.place)
        made.append(Line(setting, runtime, tuple(rows)))
    return sorted(made, key=lambda one: one.worst)


def drawn_lines(subject: Subject) -> DrawnLines | None:
    """The lines of the settings with the largest errors, and of the recommended one; None if there are none."""
    if subject.inside is None:
        return None
    every = lines_of_layers(subject.inside)
    lines = [one for one in every if one.worst < HIGHEST_DB]
    chosen = [one for one in lines if one.setting == subject.recommended]
    lines = [*chosen, *(one for one in lines if one not in chosen)]
    if not lines:
        return None
    drawn = tuple(lines[:MOST_LINES])
    order, used = tuple(merged([one.steps for one in every])), {step for one in drawn for step in one.steps}
    return DrawnLines(drawn, tuple(step for step in order if step in used), order, len(lines) - len(drawn))


def merged(lines: Sequence[Sequence[Step]]) -> list[Step]:
    """One order for several lines: that of the longest one, into which the steps are put that only others have.

    A step that is put in stands right after the step before it in its own line.

    >>> merged([[("conv", 0), ("dense", 0)], [("conv", 0), ("relu", 0), ("dense", 0)], [("quantize", 0), ("conv", 0)]])
    [('quantize', 0), ('conv', 0), ('relu', 0), ('dense', 0)]
    """
    order: list[Step] = []
    for line in sorted(lines, key=len, reverse=True):
        known, following = set(order), 0
        for step in line:
            if step in known:
                following = order.index(step) + 1
            else:
                order.insert(following, step)
                following += 1
    return order
