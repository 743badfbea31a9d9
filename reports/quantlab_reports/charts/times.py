"""Time of a call, with the interval from its rounds."""

from quantlab_reports.charts.contract import Drawing
from quantlab_reports.charts.intervals import Interval, draw_intervals
from quantlab_reports.figures import number
from quantlab_reports.subject import Subject
from quantlab_reports.views.costs import cost_rows, interval_of_rounds

__all__ = ["draw_times"]


def draw_times(subject: Subject, width: float) -> Drawing | None:
    """Draw the median of every trial that was timed; None if none was."""
    if subject.costs is None:
        return None
    rows: list[Interval] = []
    coverages: list[float | None] = []
    for row in cost_rows(subject.study, subject.costs):
        median = row.steady_median_ms
        if median is None:
            continue
        lower, upper, between = median, median, ""
        if row.steady_median_lower_ms is not None and row.steady_median_upper_ms is not None:
            lower, upper = row.steady_median_lower_ms, row.steady_median_upper_ms
            between = f" [{number(lower)}, {number(upper)}]"
            coverages.append(row.steady_median_coverage)
        told = f"{row.setting} in {row.runtime}: {number(median)}{between} ms"
        name = f"{row.setting} {row.runtime}"
        rows.append(
            Interval(
                name, median, lower, upper, told, colour="@accent" if row.setting == subject.recommended else "@ink"
            )
        )
    if not rows:
        return None
    machine = subject.costs.machine
    others = dict.fromkeys(row.machine.text for row in subject.costs.rows if row.machine != machine)
    above = f"Milliseconds of a call on {'; '.join([machine.text, *others])}"
    interval = interval_of_rounds(coverages)
    scale = f"median{f' and {interval}' if interval else ', without an interval'}, ms →"
    specification = draw_intervals(rows, width, (above, scale), zero=True)
    brackets = f" Brackets hold the {interval}." if interval else ""
    return Drawing(specification, f"{above}. {'; '.join(row.told for row in rows)}.{brackets}")
