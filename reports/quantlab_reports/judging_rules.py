"""The words for what keeps the confidence of a verdict although settings are many, and looks are several."""

from quantlab.names import listed
from quantlab.types import LookRule, SeveralSettings
from quantlab_reports.figures import confidence

__all__ = ["look_words", "several_settings"]


def several_settings(several: SeveralSettings) -> str:
    """Say how many settings are judged, by which rule, and where it stopped, as a clause.

    >>> several_settings(SeveralSettings(("tfjs-float16", "tfjs-uint8"), 0.95, stopped_at="tfjs-uint8"))
    '2 settings judged in a fixed sequence from tfjs-float16 to tfjs-uint8, which stopped at tfjs-uint8'
    >>> several_settings(SeveralSettings(("tfjs-float16", "tfjs-uint8"), 0.975, ordered=False))
    'any of 2 settings may be chosen, so each bound has 97.5 % confidence (Bonferroni)'
    """
    count = len(several.order)
    if not several.ordered:
        sure = confidence(several.confidence)
        return f"any of {count} settings may be chosen, so each bound has {sure} confidence (Bonferroni)"
    over = f"; it passed over {listed(several.passed_over)}" if several.passed_over else ""
    stopped = f", which stopped at {several.stopped_at}" if several.stopped_at else ""
    first, last = several.order[0], several.order[-1]
    return f"{count} settings judged in a fixed sequence from {first} to {last}{stopped}{over}"


def look_words(look: LookRule | None) -> str:
    """Say by which rule samples are judged, as a clause; empty for a look that is judged as the only one.

    >>> look_words(LookRule("further", 2))
    'look 2 at this study, so the bounds hold at any number of looks, for a tenth of the error'
    >>> look_words(LookRule("planned", 1, 10_000))
    'look 1 of a plan of 10,000 samples, so the bounds are wider before its end'
    >>> look_words(LookRule("planned", 2, 10_000, n=10_000))
    'look 2 of a plan of 10,000 samples, which ends here, with slightly wider bounds because of the looks before'
    >>> look_words(LookRule("planned", 1, 10_000, n=10_000))
    'look 1 of a plan of 10,000 samples, which ends here'
    """
    if look is None or look.kind == "one":
        return ""
    if look.kind == "planned":
        plan = f"look {look.number} of a plan of {look.planned_n or 0:,} samples"
        if not look.at_end:
            return f"{plan}, so the bounds are wider before its end"
        wider = ", with slightly wider bounds because of the looks before" if look.number > 1 else ""
        return f"{plan}, which ends here{wider}"
    share = ", for a tenth of the error" if look.kind == "further" else ""
    return f"look {look.number} at this study, so the bounds hold at any number of looks{share}"
