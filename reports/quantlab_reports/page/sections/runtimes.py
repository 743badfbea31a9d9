"""Runtimes: whether each answers as Python does, and the first tensor that parts."""

from quantlab.names import joined
from quantlab.types import Equivalence
from quantlab_reports.model import Selection
from quantlab_reports.page.contract import Content
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
    table = runtime_table(subject.study, subject.inside, Selection())
    return Content(_conclusion(subject, rows), "plain.html.jinja", {"table": table, "label": "Runtimes against Python"})


def _conclusion(subject: Subject, rows: list[RuntimeRow]) -> str:
    told = []
    for runtime in dict.fromkeys(row.runtime for row in rows):
        widest = _widest(subject, runtime)
        if widest is not None:
            told.append(f"{runtime} is {equivalence_clause(widest)}")
        else:
            largest = max(row.max_abs or 0.0 for row in rows if row.runtime == runtime)
            told.append(f"{runtime} differs from Python by {largest:.2g} at most")
    return f"{joined(told)}." if len(told) < _MANY else f"{'; '.join(told)}."


_MANY = 3


def _widest(subject: Subject, runtime: str) -> Equivalence | None:
    """The comparison of this runtime that allows the largest difference."""
    found = [trial.equivalence for trial in subject.study.trials if trial.runtime == runtime and trial.equivalence]
    different = [one for one in found if one.outcome() == "different"]
    return max(different or found, key=lambda one: one.widest, default=None)
