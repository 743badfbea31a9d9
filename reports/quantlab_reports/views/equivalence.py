"""Sentences about the equivalence of a runtime with Python."""

from collections.abc import Sequence

from quantlab.gate import rounded_down, rounded_up
from quantlab.names import counted, joined
from quantlab.types import RUNTIME_MARGIN_POINTS, Equivalence, Trial
from quantlab_reports.figures import number

__all__ = ["equivalence_clause", "equivalence_line"]

_MARGIN = number(RUNTIME_MARGIN_POINTS)


def equivalence_clause(compared: Equivalence) -> str:
    """What the samples show about the margin, as a clause.

    >>> equivalence_clause(Equivalence(n=200, changed=0, changed_upper=1.487, lower=-1.487, upper=1.487))
    'not shown to be equivalent within 0.5 pt: 200 samples allow 1.49 pt'
    """
    outcome = compared.outcome()
    if outcome == "equivalent":
        return f"equivalent within {_within(compared)} pt"
    if outcome == "different":
        return _apart(compared)
    samples = counted(compared.n, "sample")
    if compared.groups is not None:
        samples += f" in {counted(compared.groups, 'group')}"
    return f"not shown to be equivalent within {_MARGIN} pt: {samples} allow {_within(compared)} pt"


def equivalence_line(runtime: str, trials: Sequence[Trial], compared: Sequence[Equivalence]) -> str:
    """The line above the table about all settings in one runtime.

    A runtime is equivalent if every setting is. Each setting is tested at the full level: to claim all at once, all
    tests must reject, so no correction is needed (Berger 1982, Technometrics 24:295–300). Otherwise the line names the
    settings that differ, each tested at the level divided by their number, or else those that need more samples.

    Args:
        runtime: Name of the runtime.
        trials: Its trials, at least one.
        compared: The equivalence of each trial.
    """
    pairs = list(zip(trials, compared, strict=True))
    changed = f"{_changed(pairs)}; largest difference {number(_largest(trials), 2)}"
    different = [pair for pair in pairs if pair[1].outcome() == "different"]
    if different:
        told = "; ".join(f"{trial.setting} {_apart(one)}" for trial, one in different)
        return f"✗ {runtime} ≠ python: {told} ({_confidence(different[0][1])} interval; margin {_MARGIN}); {changed}"
    open_ones = [pair for pair in pairs if pair[1].outcome() == "not shown"]
    widest = max((one for _, one in pairs), key=lambda one: one.widest)
    if not open_ones:
        return f"✓ {runtime} = python within {_within(widest)} pt (90 % interval; margin {_MARGIN}); {changed}"
    named = "" if len(open_ones) == len(pairs) else f" ({joined([trial.setting for trial, _ in open_ones])})"
    return f"· {runtime} against python: {equivalence_clause(widest)}{named} (90 % interval); {changed}"


def _within(compared: Equivalence) -> str:
    return rounded_up(compared.widest, RUNTIME_MARGIN_POINTS)


def _apart(compared: Equivalence) -> str:
    """By how much a runtime differs at least, and in which direction."""
    direction = "loses" if compared.lower > 0 else "gains"
    return f"{direction} at least {rounded_down(compared.apart)} pt"


def _confidence(compared: Equivalence) -> str:
    """Confidence of the interval by which a setting is called different."""
    return f"{number(100 * (1 - 2 * (1 - compared.confidence) / compared.settings), 4)} %"


def _changed(pairs: Sequence[tuple[Trial, Equivalence]]) -> str:
    """How many samples have another top-1, and what share of all that allows."""
    most = max((one for _, one in pairs), key=lambda one: one.changed_upper)
    allowed = f"which allows {rounded_up(most.changed_upper)} %"
    if not most.changed:
        return f"same top-1 on all {most.n:,} samples, {allowed}"
    counts = ", ".join(f"{one.changed:,} ({trial.setting})" for trial, one in pairs if one.changed)
    return f"different top-1 on {counts} of {most.n:,} samples, {allowed}"


def _largest(trials: Sequence[Trial]) -> float:
    return max(trial.max_abs_from_python or 0.0 for trial in trials)
