"""Names the settings to try next if no quantized setting fits: those that store more bits for each weight."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from quantlab.errors import UsageError
from quantlab.gate.verdict import decide, judge_added
from quantlab.registries import Registries
from quantlab.types import Budget, Setting, SettingVerdict, TrialEvidence, Verdict, float32_of

__all__ = ["next_settings"]


def next_settings(
    trials: Sequence[TrialEvidence], verdict: Verdict, each: Budget, registries: Registries
) -> tuple[str, ...]:
    """Return settings that the study does not have and that may fit, in the order of the table.

    They belong to formats whose float32 variant loses little enough while their quantized settings do not, and store
    more bits for each weight than the smallest of these. Settings that would exceed a limit of the size are left out.

    Args:
        trials: All trials of the study, with their evidence.
        verdict: The verdict about them.
        each: The budget with the confidence of the bounds in the evidence.
        registries: All formats, runtimes and converters.

    Returns:
        Empty if a quantized setting fits, or if only the size is exceeded.
    """
    if any(judged.quantized and judged.outcome == "fits" for judged in verdict.settings):
        return ()
    budget = _without_size(each)
    if budget is None:
        return ()
    judged = decide(trials, budget, each=budget, registries=registries).settings
    added = judge_added(trials, budget, registries=registries)
    fitting = {one.setting: one for one in (*judged, *added) if one.outcome == "fits"}
    studied = {row.trial.setting for row in trials}
    return tuple(
        setting.name
        for failing, float32 in _formats(judged, fitting, registries)
        for setting in registries.formats[failing[0].format].settings
        if setting.name not in studied
        and min(other.weight_bits for other in failing) < setting.weight_bits < _FLOAT32_BITS
        and _is_small_enough(setting, float32, each.size_bytes)
    )


_FLOAT32_BITS = 32


def _without_size(budget: Budget) -> Budget | None:
    """Return the budget without its limit of the size; None if that is its only limit."""
    try:
        return replace(budget, max_size=None)
    except UsageError:
        return None


def _formats(
    judged: Sequence[SettingVerdict], fitting: dict[str, SettingVerdict], registries: Registries
) -> Iterator[tuple[list[Setting], SettingVerdict]]:
    """Yield, for each format of which only float32 fits, its quantized settings and the verdict about float32."""
    known = registries.settings
    by_format: dict[str, list[Setting]] = {}
    for one in judged:
        if one.quantized and one.setting in known:
            by_format.setdefault(known[one.setting].format, []).append(known[one.setting])
    for name, settings in by_format.items():
        float32 = fitting.get(float32_of(name))
        if float32 is not None and not any(setting.name in fitting for setting in settings):
            yield settings, float32


def _is_small_enough(setting: Setting, float32: SettingVerdict, limit: int | None) -> bool:
    """Whether the setting may keep a limit of the size; it is estimated from the bits of its weights."""
    return limit is None or (float32.size_bytes or 0) * setting.weight_bits / _FLOAT32_BITS <= limit
