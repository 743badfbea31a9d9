"""Whose fault: the steps that make the loss of each trial."""

from quantlab.types import SplitRow
from quantlab_reports.figures import number
from quantlab_reports.model import Selection
from quantlab_reports.page.contract import Content
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
    table = split_table(subject.inside, Selection())
    return Content(
        _conclusion(list(subject.inside.split)), "plain.html.jinja", {"table": table, "label": "Steps of the loss"}
    )


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
