"""Which setting to ship: the smallest that fits everywhere it counts, and a reason for each that is not it."""

import math
from collections.abc import Iterable, Mapping, Sequence

from quantlab.gate.targets import target_of
from quantlab.gate.verdict import decide
from quantlab.registries import REAL, Registries
from quantlab.types import Budget, ClassLoss, Recommendation, SettingVerdict, TrialEvidence

__all__ = ["choose"]


def choose(
    trials: Iterable[TrialEvidence], budget: Budget, *, study: str = "", registries: Registries = REAL
) -> Recommendation:
    """Choose among the settings of a study.

    Args:
        trials: As `decide` takes them.
        budget: What may be lost, and where.
        study: Its name.
        registries: The formats, runtimes and converters there are.

    Raises:
        UsageError: As `decide`.
        StudyError: As `decide`.
    """
    given = tuple(trials)
    verdict = decide(given, budget, study=study, registries=registries)
    chosen = verdict.of(verdict.recommended) if verdict.recommended else None
    return Recommendation(
        verdict=verdict,
        reasons={each.setting: _reason(each, chosen) for each in verdict.settings if each is not chosen},
        front=_front(
            verdict.settings, {each.trial.setting for each in given if each.evidence and each.evidence.non_finite}
        ),
        size_word=target_of(budget, registries).size_word,
        share_of_float32=_share(given, chosen, verdict.settings),
        losing_classes=_losing(given, {each.setting for each in verdict.settings}),
    )


def _reason(each: SettingVerdict, chosen: SettingVerdict | None) -> str:
    if each.outcome != "fits" or chosen is None:
        return f"{each.outcome}: {each.reason}"
    if not each.size_bytes or not chosen.size_bytes:
        return "fits"
    larger = 100 * (each.size_bytes / chosen.size_bytes - 1)
    return f"fits, {larger:.0f} % larger" if larger >= 0.5 else "fits, as large, and no surer"


def _front(settings: Sequence[SettingVerdict], spoiled: set[str]) -> tuple[str, ...]:
    """Those that no other is at most as large as and loses at most as much as, in the order of their sizes.

    What failed or is not finite has no place on it; of two that are equal the first stays.
    """
    known = [each for each in settings if each.size_bytes and each.upper < math.inf and each.setting not in spoiled]
    ordered = sorted(known, key=lambda each: (each.size_bytes or 0, each.upper))
    front: list[SettingVerdict] = []
    for each in ordered:
        if not front or each.upper < front[-1].upper:
            front.append(each)
    return tuple(each.setting for each in front)


def _share(
    given: Sequence[TrialEvidence], chosen: SettingVerdict | None, settings: Sequence[SettingVerdict]
) -> float | None:
    """Of the same format's float32, by what the target transfers."""
    if chosen is None or not chosen.quantized:
        return None
    float32 = next(
        (each.trial.variant.float32 for each in given if each.trial.variant and each.trial.setting == chosen.setting),
        None,
    )
    other = next((each.size_bytes for each in settings if each.setting == float32), None)
    return chosen.size_bytes / other if other and chosen.size_bytes else None


def _losing(given: Sequence[TrialEvidence], settings: set[str]) -> Mapping[str, tuple[ClassLoss, ...]]:
    found: dict[str, tuple[ClassLoss, ...]] = {}
    for each in given:
        losing = tuple(one for one in each.evidence.classes if one.loses) if each.evidence else ()
        name = each.trial.setting
        if name in settings and len(losing) > len(found.get(name, ())):
            found[name] = losing
    return found
