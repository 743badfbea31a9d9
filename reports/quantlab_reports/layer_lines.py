"""The layers of each setting in each runtime as a line, and one order of execution for all of them."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from quantlab.names import joined
from quantlab.types import AGAINST_REFERENCE, PYTHON, Inside, LayerRow
from quantlab_reports.subject import Subject

__all__ = [
    "HIGHEST_DB",
    "MOST_LINES",
    "SAME_DB",
    "DrawnLines",
    "Line",
    "Step",
    "drawn_lines",
    "lines_of_layers",
    "merged",
]

HIGHEST_DB = 100.0
"""SQNR above which a setting is not drawn: nobody looks for errors there."""
MOST_LINES = 6
"""Lines whose colours and markers people tell apart."""
SAME_DB = 0.1
"""Difference of two SQNR in decibels up to which their runtimes share a line."""

Step = tuple[str, int]
"""A layer of the reference, and which of its tensors in the variant: the first is 0."""


@dataclass(frozen=True, slots=True)
class Line:
    """The layers of one setting in one runtime, or in several where they have the same errors."""

    setting: str
    runtimes: tuple[str, ...]
    """At least one; those in which every SQNR is the same within `SAME_DB`."""
    rows: tuple[LayerRow, ...]
    """Those of the first runtime, in the order of execution; each has an SQNR that is no NaN."""
    alone: bool = True
    """Whether its setting has no other line."""

    @property
    def runtime(self) -> str:
        """The runtime of the rows."""
        return self.runtimes[0]

    @property
    def name(self) -> str:
        """The setting, with its runtimes if the setting has several lines."""
        return self.setting if self.alone else f"{self.setting}, {joined(list(self.runtimes))}"

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
        """The layer after which the relative error grew most, of those with a finite SQNR; None if none has grown."""
        grown = [row for row in self.rows if (row.relative_rms_growth or 0.0) > 0]
        return max(grown, key=lambda row: row.relative_rms_growth or 0.0, default=None)

    @property
    def first_infinite(self) -> LayerRow | None:
        """The first layer with an SQNR of −∞ dB: no growth of the error is known there. None if there is none."""
        return next((row for row in self.rows if row.sqnr_db == -math.inf), None)

    @property
    def marked(self) -> LayerRow | None:
        """The layer that readers should see first: the first with −∞ dB, or else that which adds most."""
        return self.first_infinite or self.adds_most

    @property
    def worst(self) -> float:
        """The lowest SQNR in decibels."""
        return min(row.sqnr_db for row in self.rows if row.sqnr_db is not None)


@dataclass(frozen=True, slots=True)
class DrawnLines:
    """The lines of a chart, at most `MOST_LINES`, and the order of their layers."""

    lines: tuple[Line, ...]
    """Those of the setting that the page is about first, then the worst ones."""
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
    """The settings whose layers were compared in each runtime, the worst first.

    Runtimes with the same errors share a line, which has the figures of Python if it is among them.
    """
    found: dict[str, dict[str, list[LayerRow]]] = {}
    for row in inside.layers:
        if row.baseline == AGAINST_REFERENCE and row.aligned and row.channel is None and row.sqnr_db is not None:
            found.setdefault(row.setting, {}).setdefault(row.runtime, []).append(row)
    made = []
    for setting, runtimes in found.items():
        lines: list[Line] = []
        for runtime in sorted(runtimes, key=lambda name: name != PYTHON):
            line = Line(setting, (runtime,), tuple(sorted(runtimes[runtime], key=lambda row: row.place)))
            same = next((place for place, other in enumerate(lines) if _same(line, other)), None)
            if same is None:
                lines.append(line)
            else:
                lines[same] = replace(lines[same], runtimes=(*lines[same].runtimes, runtime))
        made += [replace(line, alone=len(lines) == 1) for line in lines]
    return sorted(made, key=lambda one: one.worst)


def _same(one: Line, other: Line) -> bool:
    """Whether two lines would cover each other."""
    return one.steps == other.steps and all(
        math.isclose(_drawn(row), _drawn(same), rel_tol=0, abs_tol=SAME_DB)
        for row, same in zip(one.rows, other.rows, strict=True)
    )


def _drawn(row: LayerRow) -> float:
    return min(math.inf if row.sqnr_db is None else row.sqnr_db, HIGHEST_DB)


def drawn_lines(subject: Subject) -> DrawnLines | None:
    """The lines with the largest errors, and those of the setting that the page is about; None if there are none."""
    if subject.inside is None:
        return None
    every = lines_of_layers(subject.inside)
    lines = [one for one in every if one.worst < HIGHEST_DB]
    chosen = [one for one in lines if one.setting == subject.shown]
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
