"""The words for what keeps the confidence of a verdict although one of several settings is chosen."""

from quantlab.names import listed
from quantlab.types import SeveralSettings
from quantlab_reports.figures import number

__all__ = ["several_settings"]


def several_settings(several: SeveralSettings) -> str:
    """Say how many settings are judged, by which rule, and where it stopped, as a clause.

    >>> several_settings(SeveralSettings(("tfjs-float16", "tfjs-uint8"), 0.95, stopped_at="tfjs-uint8"))
    '2 settings judged in a fixed sequence from tfjs-float16 to tfjs-uint8, which stopped at tfjs-uint8'
    >>> several_settings(SeveralSettings(("tfjs-float16", "tfjs-uint8"), 0.975, ordered=False))
    'any of 2 settings may be chosen, so each bound has 97.5 % confidence (Bonferroni)'
    """
    count = len(several.order)
    if not several.ordered:
        sure = number(100 * several.confidence, 4)
        return f"any of {count} settings may be chosen, so each bound has {sure} % confidence (Bonferroni)"
    over = f"; it passed over {listed(several.passed_over)}" if several.passed_over else ""
    stopped = f", which stopped at {several.stopped_at}" if several.stopped_at else ""
    first, last = several.order[0], several.order[-1]
    return f"{count} settings judged in a fixed sequence from {first} to {last}{stopped}{over}"
