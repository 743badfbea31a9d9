"""Chooses the setting to ship, and gives a reason for every other setting."""

import math
from collections.abc import Iterable, Mapping, Sequence

from quantlab.gate.figures import bound_of
from quantlab.gate.next_settings import next_settings
from quantlab.gate.outputs import not_allowed
from quantlab.gate.targets import target_of
from quantlab.gate.verdict import decide, judge_added
from quantlab.registries import REAL, Registries
from quantlab.types import Budget, ClassLoss, Recommendation, SettingVerdict, TrialEvidence, Verdict

__all__ = ["choose"]


def choose(
    trials: Iterable[TrialEvidence],
    budget: Budget,
    *,
    study: str = "",
    each: Budget | None = None,
    verdict: Verdict | None = None,
    registries: Registries = REAL,
) -> Recommendation:
    """Choose the setting to ship among those of a study.

    Args:
        trials: The trials of the study, with their evidence.
        budget: The limits, and the target and runtimes that count.
        study: The name of the study.
        each: The budget with the confidence of the bounds in the evidence; see `decide`.
        verdict: The decision about these trials; None decides about all settings of the study.
        registries: All formats, runtimes and converters.

    Raises:
        UsageError: See `decide`.
        StudyError: See `decide`.
    """
    given = tuple(trials)
    if verdict is None:
        verdict = decide(given, budget, study=study, each=each, registries=registries)
    chosen = verdict.of(verdict.recommended) if verdict.recommended else None
    added = judge_added(given, each or budget, registries=registries)
    return Recommendation(
        verdict=verdict,
        reasons={setting.setting: _reason(setting, chosen) for setting in verdict.settings if setting is not chosen},
        front=_front(verdict.settings, {row.trial.setting for row in given if _lost_an_output(row, budget)}),
        size_word=target_of(budget, registries).size_word,
        share_of_float32=_share(given, chosen, verdict.settings),
        losing_classes=_losing(given, {setting.setting for setting in verdict.settings}),
        baselines=() if chosen else tuple(judged for judged in added if judged.outcome == "fits"),
        try_next=next_settings(given, verdict, each or budget, registries),
    )


def _reason(setting: SettingVerdict, chosen: SettingVerdict | None) -> str:
    if setting.outcome != "fits" or chosen is None:
        return f"{setting.outcome}: {setting.reason}"
    if not setting.size_bytes or not chosen.size_bytes:
        return "fits"
    larger = 100 * (setting.size_bytes / chosen.size_bytes - 1)
    if larger >= _SHOWN_PERCENT:
        return f"fits, {larger:.0f} % larger"
    if setting.size_bytes < chosen.size_bytes:
        size = f"{-larger:.0f} % smaller" if larger <= -_SHOWN_PERCENT else "has the same size"
        if setting.upper == math.inf:  # no loss was judged
            return f"fits, {size}, but its outputs use more of the allowed error: {setting.reason}"
        return f"fits, {size}, but its bound is higher: {bound_of(setting)} against {bound_of(chosen)}"
    return "fits, has the same size, and does not lose less"


_SHOWN_PERCENT = 0.5
"""A smaller difference is rounded to 0 %."""


def _lost_an_output(row: TrialEvidence, budget: Budget) -> bool:
    """Whether an output, scored or not, is not finite, or constant without being allowed to."""
    evidence = row.evidence
    if evidence is None:
        return False
    spoiled = bool(evidence.non_finite or evidence.non_finite_outputs)
    return spoiled or bool(not_allowed(evidence.constant, budget.allow_constant))


def _front(settings: Sequence[SettingVerdict], spoiled: set[str]) -> tuple[str, ...]:
    """Return the Pareto front of size and upper bound of the loss, ordered by size.

    Failed settings and settings with non-finite or constant outputs are excluded; of two equal settings, the first is
    kept.
    """
    known = [
        setting
        for setting in settings
        if setting.size_bytes and setting.upper < math.inf and setting.setting not in spoiled
    ]
    ordered = sorted(known, key=lambda setting: (setting.size_bytes or 0, setting.upper))
    front: list[SettingVerdict] = []
    for setting in ordered:
        if not front or setting.upper < front[-1].upper:
            front.append(setting)
    return tuple(setting.setting for setting in front)


def _share(
    given: Sequence[TrialEvidence], chosen: SettingVerdict | None, settings: Sequence[SettingVerdict]
) -> float | None:
    """Return the size of a setting relative to the float32 variant of its format, as the target transfers files."""
    if chosen is None or not chosen.quantized:
        return None
    float32 = next(
        (row.trial.variant.float32 for row in given if row.trial.variant and row.trial.setting == chosen.setting),
        None,
    )
    other = next((setting.size_bytes for setting in settings if setting.setting == float32), None)
    return chosen.size_bytes / other if other and chosen.size_bytes else None


def _losing(given: Sequence[TrialEvidence], settings: set[str]) -> Mapping[str, tuple[ClassLoss, ...]]:
    losing_classes: dict[str, tuple[ClassLoss, ...]] = {}
    for row in given:
        losing = tuple(one for one in row.evidence.classes if one.loses) if row.evidence else ()
        name = row.trial.setting
        if name in settings and len(losing) > len(losing_classes.get(name, ())):
            losing_classes[name] = losing
    return losing_classes
