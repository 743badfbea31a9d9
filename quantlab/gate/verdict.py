"""The verdict: judges every setting in every runtime that counts by every limit of the budget."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from quantlab.errors import StudyError, UsageError
from quantlab.gate.criteria import CRITERIA
from quantlab.gate.finding import Finding
from quantlab.gate.output_limits import most_used
from quantlab.gate.several import confidence_of_each, in_sequence, safest_first, surely
from quantlab.gate.targets import Target, target_of
from quantlab.names import choose, counted, counted_candidates, nearest
from quantlab.registries import REAL, Registries
from quantlab.types import (
    SEVERITY,
    Budget,
    Evidence,
    Judgement,
    Setting,
    SettingVerdict,
    SeveralSettings,
    Trial,
    TrialEvidence,
    Verdict,
)

__all__ = ["budget_of_each", "decide", "judge_added", "refuse_too_little"]

_FEWEST = 10


def decide(
    trials: Iterable[TrialEvidence],
    budget: Budget,
    *,
    study: str = "",
    settings: Sequence[str] | None = None,
    each: Budget | None = None,
    registries: Registries = REAL,
) -> Verdict:
    """Judge every setting, and recommend one that fits in every runtime that counts; see `Verdict.recommended`.

    A setting *fits* if every limit is kept: the one-sided upper bound of its loss is below the margin, and there are
    enough samples to show this. It *breaks* if a limit is exceeded with the given confidence, if a trial failed, or if
    an output is not finite or became constant. Otherwise it is *inconclusive*, with the number of samples that would
    decide.

    Args:
        trials: The trials of one study, with their evidence.
        budget: The limits, and the target and runtimes that count.
        study: The name of the study, for the verdict.
        settings: Names and globs of the settings that must fit; None means that any quantized setting is enough.
        each: The budget with the confidence of the bounds in the evidence, see `budget_of_each`; None if it is that.
        registries: All formats, runtimes and converters.

    Raises:
        UsageError: If a setting, runtime or target is unknown in the study, or a limit cannot be judged, for example a
            loss of accuracy without labels.
        StudyError: If there is no row that was asked for, too few samples, or samples of only one class.
    """
    known = [row for row in trials if row.trial.requested]
    if not known:
        raise StudyError(
            "the study has no row that was asked for, so there is nothing to judge; name settings with --settings and "
            "run 'quantlab analyze' again"
        )
    target = target_of(budget, registries)
    terms = _Terms(budget, target, _runtimes_that_count(known, budget, target), registries.settings)
    judged = _judged(known, terms, settings)
    refuse_too_little(row.evidence for row in known)
    if each is None:
        confidence = confidence_of_each(budget, len(judged), named=settings is not None)
        each = replace(budget, confidence=confidence)
    terms = replace(terms, budget=each)
    verdicts = tuple(_judge_setting(name, judged[name], known, terms) for name in judged)
    several = None
    if settings is None:
        _refuse_nothing_quantized(verdicts)
        verdicts, several = _simultaneous(verdicts, judged, terms)
    return Verdict(
        study=study,
        budget=budget,
        settings=verdicts,
        named=settings is not None,
        untested=_untested(known, target, budget),
        several=several,
    )


def _simultaneous(
    verdicts: tuple[SettingVerdict, ...], judged: Mapping[str, Sequence[TrialEvidence]], terms: "_Terms"
) -> tuple[tuple[SettingVerdict, ...], SeveralSettings | None]:
    """Account for a choice among several settings; None if there is only one, or chance decides nothing."""
    if len(verdicts) < 2 or not terms.budget.limits_by_chance:
        return verdicts, None
    order, confidence = safest_first(verdicts, terms.known, terms.budget), terms.budget.confidence
    if terms.budget.unordered:
        return verdicts, SeveralSettings(order, confidence, ordered=False)

    def surely_breaks(name: str) -> bool:
        rows = [surely(terms.budget, row) for row in judged[name] if row.trial.runtime in terms.runtimes]
        return any(_judge_trial(row, budget, terms.target).outcome == "breaks" for budget, row in rows)

    return in_sequence(verdicts, order, surely_breaks, confidence)


def budget_of_each(
    trials: Iterable[Trial], budget: Budget, *, settings: Sequence[str] | None = None, registries: Registries = REAL
) -> Budget:
    """The budget with the confidence of each bound, which is larger if settings are judged in no order; see `decide`.

    Raises:
        UsageError: If a setting, runtime or target is unknown in the study.
    """
    if not budget.unordered or settings is not None:
        return budget
    target = target_of(budget, registries)
    rows = [TrialEvidence(trial, None) for trial in trials if trial.requested]
    judged = _judged(rows, _Terms(budget, target, (), registries.settings), settings) if rows else {}
    return replace(budget, confidence=confidence_of_each(budget, len(judged), named=False))


def judge_added(
    trials: Iterable[TrialEvidence], budget: Budget, *, registries: Registries = REAL
) -> tuple[SettingVerdict, ...]:
    """Judge the float32 baselines that quantlab added to a study, in the order of the table; see `decide`.

    Only the formats of the target are judged, and the trials must be those that `decide` accepted.
    """
    given = tuple(trials)
    known = [row for row in given if row.trial.requested]
    target = target_of(budget, registries)
    terms = _Terms(budget, target, _runtimes_that_count(known, budget, target), registries.settings)
    added: dict[str, list[TrialEvidence]] = {}
    for row in given:
        if not row.trial.requested and _is_of_target(terms, row.trial.setting, [row]):
            added.setdefault(row.trial.setting, []).append(row)
    return tuple(_judge_setting(name, rows, given, terms) for name, rows in added.items())


@dataclass(frozen=True, slots=True)
class _Terms:
    """What all settings are judged by."""

    budget: Budget
    target: Target
    runtimes: Sequence[str]
    """The runtimes that count."""
    known: Mapping[str, Setting]
    """All settings by name."""

    def format_of(self, name: str, given: Sequence[TrialEvidence]) -> str:
        """Return the format of a setting; empty if neither a variant nor the setting is known."""
        variant = next((row.trial.variant for row in given if row.trial.variant), None)
        if variant is not None:
            return variant.format
        return self.known[name].format if name in self.known else ""


def _judged(
    known: Sequence[TrialEvidence], terms: _Terms, settings: Sequence[str] | None
) -> dict[str, list[TrialEvidence]]:
    """Setting → its trials, in the order of the table."""
    by_setting: dict[str, list[TrialEvidence]] = {}
    for row in known:
        by_setting.setdefault(row.trial.setting, []).append(row)
    if settings is not None:
        chosen = choose("setting of this study", settings, list(by_setting))
        _refuse_other_formats(chosen, terms)
        return {name: by_setting[name] for name in chosen}
    target = terms.target
    of_target = {name: given for name, given in by_setting.items() if _is_of_target(terms, name, given)}
    if not of_target:
        formats = ", ".join(target.formats or ())
        raise UsageError(
            f"the target '{target.name}' needs the format {formats}, and the study has {', '.join(by_setting)}; "
            f"analyze settings of such a format, or choose another --target"
        )
    return of_target


def _is_of_target(terms: _Terms, name: str, given: Sequence[TrialEvidence]) -> bool:
    return terms.target.formats is None or terms.format_of(name, given) in terms.target.formats


def _refuse_other_formats(chosen: Iterable[str], terms: _Terms) -> None:
    target = terms.target
    for name in chosen:
        setting = terms.known.get(name)
        if setting is not None and target.formats is not None and setting.format not in target.formats:
            raise UsageError(
                f"the setting '{name}' does not run on the target '{target.name}', which needs the format "
                f"{', '.join(target.formats)}; leave one of them out"
            )


def _runtimes_that_count(known: Sequence[TrialEvidence], budget: Budget, target: Target) -> tuple[str, ...]:
    ran = list(dict.fromkeys(row.trial.runtime for row in known))
    if budget.runtimes is not None:
        for pattern in budget.runtimes:
            if not fnmatch.filter(ran, pattern):
                raise UsageError(
                    f"the study has no trial in the runtime '{pattern}'; run 'quantlab analyze' again with "
                    f"--runtimes {','.join((*ran, pattern))}, or name a runtime of the study: {nearest(pattern, ran)}"
                )
    counting = budget.runtimes or target.runtimes
    chosen = tuple(name for name in ran if any(fnmatch.fnmatchcase(name, pattern) for pattern in counting))
    if not chosen:
        raise UsageError(
            f"the target '{target.name}' needs one of the runtimes {', '.join(target.runtimes)}, and the study ran in "
            f"{', '.join(ran)}; run 'quantlab analyze' again with --runtimes, or name the runtimes that count with "
            f"--runtimes here"
        )
    return chosen


def refuse_too_little(known: Iterable[Evidence | None]) -> None:
    """Refuse a verdict on too few samples, or on samples of one class.

    Raises:
        StudyError: If there are less than ten samples, or all are of one class.
    """
    for evidence in known:
        if evidence is None:
            continue
        if evidence.n < _FEWEST:
            raise StudyError(
                f"{counted(evidence.n, 'sample is', 'samples are')} too few for a verdict; score at least {_FEWEST}, "
                f"and more for a smaller allowed loss"
            )
        if len(evidence.classes) == 1:
            raise StudyError(
                f"all {evidence.n:,} samples are of class {evidence.classes[0].label}, so nothing is known about the "
                f"other classes; analyze samples of every class"
            )


def _refuse_nothing_quantized(verdicts: Sequence[SettingVerdict]) -> None:
    if not any(verdict.quantized for verdict in verdicts):
        raise UsageError(
            f"no judged setting is quantized (judged: {', '.join(verdict.setting for verdict in verdicts)}); "
            f"analyze a quantized setting, or name one of these with --setting"
        )


def _judge_setting(
    name: str, given: Sequence[TrialEvidence], known: Sequence[TrialEvidence], terms: _Terms
) -> SettingVerdict:
    budget, target = terms.budget, terms.target
    variant = next((row.trial.variant for row in given if row.trial.variant), None)
    by_runtime = {row.trial.runtime: row for row in given}
    own = terms.format_of(name, given)
    # A runtime that runs no file of this format does not count for it.
    same_format = {row.trial.runtime for row in known if terms.format_of(row.trial.setting, [row]) == own}
    counting = [runtime for runtime in terms.runtimes if runtime in same_format]
    setting = terms.known.get(name)
    return SettingVerdict(
        setting=name,
        quantized=not variant.is_float32 if variant else setting.quantized if setting else True,
        size_bytes=target.size_of(variant) if variant else None,
        judgements=tuple(
            _judge_trial(by_runtime[runtime], budget, target)
            if runtime in by_runtime
            else Judgement(name, runtime, "inconclusive", f"was not run in {runtime}")
            for runtime in counting
        )
        or (Judgement(name, "", "inconclusive", "was not run in any runtime that counts"),),
    )


def _judge_trial(given: TrialEvidence, budget: Budget, target: Target) -> Judgement:
    findings = [finding for criterion in CRITERIA if (finding := criterion(given, budget, target)) is not None]
    most_severe = max(
        findings,
        key=lambda finding: SEVERITY[finding.outcome],
        default=Finding("inconclusive", "no limit of the budget applies"),
    )
    loss = given.evidence.loss if given.evidence else None
    missing = [finding.missing for finding in findings if finding.outcome == "inconclusive"]
    return Judgement(
        setting=given.trial.setting,
        runtime=given.trial.runtime,
        outcome=most_severe.outcome,
        reason=most_severe.clause + _among(given),
        n=given.evidence.n if given.evidence else 0,
        loss=loss,
        margin=budget.margin.of(loss) if budget.margin and loss else None,
        # The limit that needs most samples counts; if no number of samples can decide one limit, there is no number.
        missing=max((samples or 0 for samples in missing), default=0) or None
        if most_severe.outcome == "inconclusive" and None not in missing
        else None,
        missing_groups=most_severe.missing_groups if None not in missing else None,
        used=most_used(given.evidence.figures) if given.evidence else None,
    )


def _among(given: TrialEvidence) -> str:
    """Of how many candidates it is one; they do not change the bound, because these samples chose none of them."""
    variant = given.trial.variant
    if variant is None or not variant.candidates:
        return ""
    return f" (one of {counted_candidates(variant.candidates, variant.single_decisions)}, chosen on other samples)"


def _untested(known: Sequence[TrialEvidence], target: Target, budget: Budget) -> tuple[str, ...]:
    ran = {row.trial.runtime for row in known}
    missed = budget.runtimes is None and not target.any_of
    wanted = tuple(name for name in target.runtimes if "*" not in name) if missed else ()
    return (*(name for name in wanted if name not in ran), *target.beyond)
