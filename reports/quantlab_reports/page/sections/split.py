"""Whose fault: the steps that make the loss of each trial."""

from dataclasses import replace

from quantlab.types import Inside, SplitRow
from quantlab_reports.figures import number
from quantlab_reports.model import Selection, Table
from quantlab_reports.page.contract import Content
from quantlab_reports.page.tables import without_columns
from quantlab_reports.subject import Subject
from quantlab_reports.views.split import split_table

__all__ = ["split_section"]

_STEPS = {"conversion": "conversion", "quantization": "quantization", "runtime_part": "runtime"}


def split_section(subject: Subject) -> Content:
    """The parts of conversion, quantization and runtime."""
    if subject.inside is None or not subject.inside.split:
        return Content(
            "The loss was not divided among its steps; run 'quantlab analyze' again without --no-layers, with python "
            "among the runtimes."
        )
    rows = list(subject.inside.split)
    measures = [measure for measure in ("points", "rms") if any(row.measure == measure for row in rows)]
    tables = [_table(subject.inside, measure) for measure in measures]
    return Content(_conclusion(rows), "split.html.jinja", {"shown": tables[0], "more": tables[1:]})


_LEFT_OUT = ("measure", "RMS of each step")
"""Columns that stand in 'quantlab show split' alone."""


def _table(inside: Inside, measure: str) -> Table:
    rows = tuple(row for row in inside.split if row.measure == measure)
    return without_columns(split_table(replace(inside, split=rows), Selection()), _LEFT_OUT)


def _conclusion(rows: list[SplitRow]) -> str:
    known = [row for row in rows if row.measure == "points" and row.total is not None and _parts(row)]
    known = known or [row for row in rows if row.total is not None and _parts(row)]
    worst = max(known, key=lambda row: row.total or 0.0, default=None)
    if worst is None:
        return "No step could be told apart; the reasons are in the table."
    unit = "points" if worst.measure == "points" else "of RMS error"
    if not worst.total or worst.total <= 0:
        return f"Nothing loses: the largest total is {number(worst.total)} {unit}."
    name, part = max(_parts(worst).items(), key=lambda one: one[1])
    return (
        f"{worst.setting} in {worst.runtime} loses most, {number(worst.total)} {unit}, and {number(part)} of it come "
        f"from {name}."
    )


def _parts(row: SplitRow) -> dict[str, float]:
    found = {word: getattr(row, field) for field, word in _STEPS.items()}
    return {word: value for word, value in found.items() if value is not None}
