"""The loss of each class, with its interval."""

from quantlab_reports.changed import changes_of, shown_trial
from quantlab_reports.charts.contract import Drawing
from quantlab_reports.charts.intervals import Interval, draw_intervals
from quantlab_reports.figures import fixed
from quantlab_reports.subject import Subject

__all__ = ["draw_classes"]

_MOST = 24
"""Classes that are drawn; those that lose or gain most."""


def draw_classes(subject: Subject, width: float) -> Drawing | None:
    """Draw the classes whose answers changed in the setting that the report shows; None without labels or a change."""
    trial = shown_trial(subject)
    found = None if trial is None else changes_of(trial, subject.study)
    changed = [one for one in found.classes if one.right_to_wrong or one.wrong_to_right] if found is not None else []
    if found is None or not changed:
        return None
    names, grouped = subject.study.samples.classes, bool(subject.study.samples.groups_sha256)
    most = sorted(sorted(changed, key=lambda one: -abs(one.loss))[:_MOST], key=lambda one: (-one.loss, one.label))
    rows = []
    for one in most:
        name = names[one.label] if one.label < len(names) else f"class {one.label}"
        between = f"{fixed(one.loss, 1)} [{fixed(one.lower, 1)}, {fixed(one.upper, 1)}]"
        counts = f"{one.right_to_wrong} became wrong and {one.wrong_to_right} right of {one.n:,}"
        told = f"{name}: loss {between} points, {counts}"
        colour = "@warning" if one.loses and not grouped else "@ink"
        rows.append(Interval(name, one.loss, one.lower, one.upper, told, colour))
    above = f"{found.setting} in {found.runtime}: classes whose answers changed"
    of_each = "90 % interval of each, as if samples were independent" if grouped else "90 % interval of each"
    titles = (above, f"loss of accuracy in points, {of_each} →")
    specification = draw_intervals(rows, width, titles, zero=True)
    left_out = "" if len(changed) <= _MOST else f" {len(changed) - _MOST} more changed less."
    rule = (
        "Samples are in groups, which these intervals take as independent: they are too narrow."
        if grouped
        else "A class in the warning colour loses with 95 %, for all classes together (Holm)."
    )
    return Drawing(specification, f"{above}. {'; '.join(row.told for row in rows)}.{left_out} {rule}")
