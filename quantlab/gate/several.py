"""Keeps the confidence of a verdict if any one of several settings may be shipped.

Settings are judged in a fixed sequence that does not depend on the scored samples, each with the whole confidence, up
to the first that does not fit: then the probability that any setting fits wrongly is at most 1 − confidence (Maurer,
Hothorn & Lehmacher 1995, in: Vollmar (ed.), Biometrie in der chemisch-pharmazeutischen Industrie 6:3–18; Westfall &
Krishen 2001, Journal of Statistical Planning and Inference 99:25–40). A setting that breaks by far is passed over
instead. It would be mistaken for one that loses just as much as the margin in `_DOUBT` of that probability, so each
setting adds at most this to the whole.

Without a sequence, each bound gets the confidence 1 − (1 − confidence) / K for K settings (Bonferroni).

What must fit in every runtime, or is selected by name so that all must fit, needs neither: if one of them loses too
much, it alone must seem to fit (Berger 1982, Technometrics 24:295–300).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from quantlab.names import choose
from quantlab.statistics import at_confidence
from quantlab.types import Budget, Judgement, Setting, SettingVerdict, SeveralSettings, TrialEvidence

__all__ = ["confidence_of_each", "in_sequence", "safest_first", "surely"]

_DOUBT = 0.01
"""Share of 1 − confidence in which a setting may be passed over as one that surely breaks, although it does not."""


def confidence_of_each(budget: Budget, settings: int, *, named: bool) -> float:
    """The one-sided confidence of each bound, if so many settings are judged and one of them is chosen.

    >>> round(confidence_of_each(Budget(max_accuracy_loss="1pt", order=("none",)), 9, named=False), 5)
    0.99444
    """
    if named or not budget.unordered or settings < 2:
        return budget.confidence
    return 1 - (1 - budget.confidence) / settings


def surely(budget: Budget, row: TrialEvidence) -> tuple[Budget, TrialEvidence]:
    """The same limits and evidence at the confidence at which a setting is passed over."""
    confidence = 1 - _DOUBT * (1 - budget.confidence)
    evidence = None if row.evidence is None else at_confidence(row.evidence, confidence)
    return replace(budget, confidence=confidence), replace(row, evidence=evidence)


def safest_first(verdicts: Sequence[SettingVerdict], known: Mapping[str, Setting], budget: Budget) -> tuple[str, ...]:
    """The names of the settings in the order in which they are judged.

    First come those that the budget names in its order. The others follow by what is known before any sample is run:
    more bits of each weight first, then those that need no calibration samples, then those that keep layers in float,
    and larger artifacts before smaller ones. Artifacts that the user gave are last.

    Raises:
        UsageError: If the budget's order names no setting that is judged.
    """
    names = [judged.setting for judged in verdicts]
    asked = () if budget.unordered else budget.order or ()
    declared = tuple(dict.fromkeys(name for text in asked for name in choose("judged setting", (text,), names)))
    sizes = {judged.setting: judged.size_bytes or 0 for judged in verdicts}

    def key(name: str) -> tuple[int, bool, bool, int]:
        setting = known.get(name)
        if setting is None:
            return 0, True, True, -sizes[name]
        return -setting.weight_bits, setting.calibrated, not setting.keeps_float, -sizes[name]

    given = [name for name in names if name not in known]
    others = sorted((name for name in names if name in known), key=key)
    others += sorted(given, key=key)
    return (*declared, *(name for name in others if name not in declared))


def in_sequence(
    verdicts: Sequence[SettingVerdict],
    order: Sequence[str],
    surely_breaks: Callable[[str], bool],
    confidence: float,
) -> tuple[tuple[SettingVerdict, ...], SeveralSettings]:
    """Judge settings one after the other: behind the first that does not fit, none fits.

    Args:
        verdicts: What each setting is by itself, in the order of the table.
        order: All their names, the safest first.
        surely_breaks: Whether a setting breaks by far, so that it is passed over.
        confidence: One-sided confidence of each bound, for the result.

    Returns:
        The verdicts in the order of the table, and how they came about.
    """
    by_name = {judged.setting: judged for judged in verdicts}
    stopped_at, passed_over = None, []
    for name in order:
        judged = by_name[name]
        if stopped_at is not None:
            by_name[name] = _behind(judged, by_name[stopped_at])
        elif judged.outcome != "fits":
            if not all(judgement.n for judgement in judged.judgements) or surely_breaks(name):
                passed_over.append(name)
            else:
                stopped_at = name
    several = SeveralSettings(
        tuple(order), confidence, ordered=True, stopped_at=stopped_at, passed_over=tuple(passed_over)
    )
    return tuple(by_name[judged.setting] for judged in verdicts), several


def _behind(judged: SettingVerdict, stopper: SettingVerdict) -> SettingVerdict:
    """A setting behind the one at which the sequence stopped: it cannot fit any more."""
    if judged.outcome != "fits":
        return judged
    return replace(judged, judgements=tuple(_not_reached(one, stopper) for one in judged.judgements))


def _not_reached(judgement: Judgement, stopper: SettingVerdict) -> Judgement:
    return replace(
        judgement,
        outcome="inconclusive",
        reason=f"not reached, because {stopper.setting} before it in the order does not fit; by itself it "
        f"{judgement.reason}",
        missing=stopper.deciding.missing,
        missing_groups=stopper.deciding.missing_groups,
    )
