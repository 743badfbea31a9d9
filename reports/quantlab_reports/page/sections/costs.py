"""Cost: download, load, first run, steady time with its spread, and memory."""

from collections.abc import Sequence
from dataclasses import replace

from quantlab.names import counted
from quantlab_reports.figures import fixed, number
from quantlab_reports.model import NOTES, Selection
from quantlab_reports.page.contract import Content
from quantlab_reports.page.tables import notes_of_rows, without_columns
from quantlab_reports.subject import Subject
from quantlab_reports.views.costs import CostRow, cost_rows, cost_table

__all__ = ["costs_section"]


def costs_section(subject: Subject) -> Content:
    """The costs of every trial on the machine of the study."""
    if subject.costs is None:
        return Content("Time and memory were not measured; run 'quantlab analyze' again without --no-costs.")
    rows = cost_rows(subject.study, subject.costs)
    table = cost_table(subject.study, subject.costs, Selection())
    notes = notes_of_rows([(row.setting, row.runtime, _notes(row)) for row in rows])
    table = without_columns(table, _LEFT_OUT)
    values = {"table": replace(table, below=(*notes, *_below(table.below))), "label": "Costs of all trials"}
    return Content(_conclusion(subject, rows), "plain.html.jinja", values)


_LEFT_OUT = ("KB", "runs", "peak MB", NOTES)
"""Columns that stand in 'quantlab show costs' alone, or below the table."""


def _below(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not line.startswith("peak MB")]


def _notes(row: CostRow) -> list[str]:
    failed = [f"not measured: {row.reason}"] if row.reason else []
    return [*failed, *([row.memory_reason] if row.memory_reason else []), *row.notes]


def _conclusion(subject: Subject, rows: list[CostRow]) -> str:
    timed = [row for row in rows if row.steady_median_ms is not None]
    if not timed:
        return "No trial could be timed; the reasons are in the table."
    own = [row for row in timed if row.setting == subject.shown]
    judged = [row for row in own if row.runtime in subject.judged_runtimes] or own or timed
    row = max(judged, key=lambda one: one.steady_median_ms or 0.0)
    ratio = row.median_to_float32
    against = (
        "" if ratio is None or _is_float32(row.setting, subject) else f", {fixed(ratio, 2)} times as long as float32"
    )
    others = len({one.runtime for one in judged}) > 1
    slowest = f", the slowest of {counted(len(judged), 'runtime' if own else 'trial')}"
    return (
        f"A call of {row.setting} takes {number(row.steady_median_ms)} ms{_between(row)} in {row.runtime}"
        f"{slowest if others or not own else ''}{against}, on {row.machine}; times on phones differ."
    )


def _between(row: CostRow) -> str:
    """The interval of the median with its coverage, which is less than 95 %; empty with one round."""
    if row.steady_median_lower_ms is None or row.steady_median_upper_ms is None:
        return ""
    between = f"{number(row.steady_median_lower_ms)} to {number(row.steady_median_upper_ms)}"
    coverage = row.steady_median_coverage
    return f" ({between}{'' if coverage is None else f' with {number(100 * coverage)} %'})"


def _is_float32(setting: str, subject: Subject) -> bool:
    return any(trial.is_float32 for trial in subject.trials_of(setting))
