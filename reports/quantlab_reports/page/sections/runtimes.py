"""Runtimes: whether each answers as Python does, and the first tensor that parts."""

from dataclasses import replace

from quantlab.names import joined
from quantlab.types import Equivalence
from quantlab_reports.figures import number
from quantlab_reports.model import Selection
from quantlab_reports.page.contract import Content
from quantlab_reports.page.tables import same_sentences, without_columns
from quantlab_reports.subject import Subject
from quantlab_reports.views.equivalence import equivalence_clause
from quantlab_reports.views.runtimes import RuntimeRow, runtime_rows, runtime_table

__all__ = ["runtimes_section"]


def runtimes_section(subject: Subject) -> Content:
    """The differences of every runtime from Python on the same artifact."""
    rows = [row for row in runtime_rows(subject.study, subject.inside) if row.reason is None]
    if not rows:
        return Content(
            "Only Python was run, or nothing could be compared with it; name others with 'quantlab analyze --runtimes'."
        )
    table = without_columns(runtime_table(subject.study, subject.inside, Selection()), _LEFT_OUT)
    below = same_sentences(table.below, [row.setting for row in rows])
    table = replace(table, below=tuple(below))
    return Content(_conclusion(subject, rows), "plain.html.jinja", {"table": table, "label": "Runtimes against Python"})


def _conclusion(subject: Subject, rows: list[RuntimeRow]) -> str:
    told = []
    for runtime in dict.fromkeys(row.runtime for row in rows):
        widest = _widest(subject, runtime)
        if widest is not None:
            told.append(f"{runtime} is {equivalence_clause(widest)}")
        else:
            known = [row.max_abs for row in rows if row.runtime == runtime and row.max_abs is not None]
            told += [f"{runtime} differs from Python by {number(max(known), 2)} at most"] if known else []
    if not told:
        return "The differences from Python were not kept; run 'quantlab analyze' again."
    return f"{joined(told)}." if len(told) < _MANY else f"{'; '.join(told)}."


_MANY = 3
_LEFT_OUT = (
    "mean difference",
    "different values",
    "different top-1, at most",
    "first different layer",
    "first layer beyond half precision",
)
"""Columns that stand in 'quantlab show runtimes' alone, or in the sentences below the table."""


def _widest(subject: Subject, runtime: str) -> Equivalence | None:
    """The comparison of this runtime that allows the largest difference."""
    found = [trial.equivalence for trial in subject.study.trials if trial.runtime == runtime and trial.equivalence]
    different = [one for one in found if one.outcome() == "different"]
    return max(different or found, key=lambda one: one.widest, default=None)
