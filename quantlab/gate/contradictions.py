"""Whether the figures of an attested verdict agree with each other, with the budget and with the outcome.

What has no figures in a statement, as the loss of each class, cannot be checked.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from quantlab.errors import UsageError
from quantlab.gate.attestation import Attestation
from quantlab.gate.criteria import judge_loss, judge_size
from quantlab.gate.targets import target_of
from quantlab.names import counted_candidates, excerpt
from quantlab.statistics import any_look_bounds, decide, loss_bounds
from quantlab.types import Budget, Judgement, Loss, SettingVerdict, Verdict

__all__ = ["contradictions", "told_by_figures"]

_DIGITS = 1e-6
"""Relative difference that other orders of summation, and tools that write numbers anew, may cause."""
_OF_A_DIFFERENCE = 1e-9
"""The same for a difference, relative to the larger of the two numbers."""


def contradictions(attestation: Attestation) -> Iterator[str]:
    """Yield a clause for each figure that contradicts another."""
    verdict = attestation.verdict
    yield from _of_names(verdict)
    for setting in verdict.settings:
        for judgement in setting.judgements:
            name = f"{excerpt(setting.setting)} in {excerpt(judgement.runtime or 'no runtime')}"
            clauses = chain(
                _of_counts(judgement),
                _of_loss(judgement.loss, verdict.budget) if judgement.loss else (),
                _of_margin(judgement, verdict.budget),
                _of_outcome(judgement, setting, verdict.budget),
            )
            yield from (f"{clause}, of {name}" for clause in clauses)
    yield from _of_all(verdict)
    yield from _of_plan(attestation)


def _of_names(verdict: Verdict) -> Iterator[str]:
    names = [setting.setting for setting in verdict.settings]
    if len(set(names)) < len(names):
        yield "a setting is there twice"
    for setting in verdict.settings:
        others = [one.setting for one in setting.judgements if one.setting != setting.setting]
        if others:
            yield f"the setting {excerpt(setting.setting)} has a judgement of {excerpt(others[0])}"
        runtimes = [one.runtime for one in setting.judgements]
        if len(set(runtimes)) < len(runtimes):
            yield f"the setting {excerpt(setting.setting)} is judged twice in a runtime"


def _of_counts(judgement: Judgement) -> Iterator[str]:
    n, loss, missing = judgement.n, judgement.loss, judgement.missing
    if n < 0 or (n == 0 and judgement.outcome == "fits"):
        yield f"n is {n}"
    if loss is not None and (loss.n != n or n < 1):
        yield f"n is {n}, and {loss.n} of the loss"
    if loss is not None and loss.groups is not None and not 1 <= loss.groups <= loss.n:
        yield f"n is {n}, and there are {loss.groups} groups"
    if missing is not None and (missing < 1 or judgement.outcome != "inconclusive"):
        yield f"{missing} samples are missing, and the outcome is '{judgement.outcome}'"


def _of_loss(loss: Loss, budget: Budget) -> Iterator[str]:
    if loss.confidence < budget.confidence - _DIGITS or not loss.confidence < 1:
        yield f"the confidence is {loss.confidence:g}, and that of the budget {budget.confidence:g}"
        return
    sign = 1 if loss.direction == "higher" else -1
    rounding = _OF_A_DIFFERENCE * max(abs(loss.reference), abs(loss.candidate))
    difference = abs(loss.loss - sign * (loss.reference - loss.candidate))
    if math.isfinite(loss.loss) and not difference <= max(rounding, _slack(loss.loss)):
        yield f"the loss is {loss.loss:g}, and the metric {loss.reference:g} before and {loss.candidate:g} after"
    lower, upper = loss.lower - _slack(loss.lower), loss.upper + _slack(loss.upper)
    if math.isfinite(loss.loss) and not lower <= loss.loss <= upper:
        yield f"the loss is {loss.loss:g}, and its bounds are {loss.lower:g} and {loss.upper:g}"
    elif loss.discordant is not None and math.isfinite(loss.loss):
        yield from _of_changes(loss, loss.discordant)


def _of_changes(loss: Loss, discordant: int) -> Iterator[str]:
    """Compare changed answers with the loss, and the bounds with those that follow from these counts."""
    more_lost = loss.loss * loss.n / 100
    wrong, right = loss.changed or (0, 0)
    counted = min(wrong, right) >= 0 and wrong + right == discordant <= loss.n
    if not counted or abs(wrong - right - more_lost) > _OF_A_SAMPLE:
        yield f"{discordant} of {loss.n} answers changed, and the loss is {loss.loss:g}"
        return
    bounds = any_look_bounds if loss.any_look else loss_bounds
    lower, upper = (100 * bound for bound in bounds(wrong, right, n=loss.n, confidence=loss.confidence))
    if not (_same(loss.lower, lower) and _same(loss.upper, upper)):
        yield (
            f"the bounds are {loss.lower:g} and {loss.upper:g}, and {wrong} answers that became wrong and {right} "
            f"right give {lower:g} and {upper:g}"
        )


_OF_A_SAMPLE = 0.01


def _of_margin(judgement: Judgement, budget: Budget) -> Iterator[str]:
    try:
        allowed = budget.margin.of(judgement.loss) if budget.margin and judgement.loss else None
    except UsageError as error:
        yield f"the budget cannot be applied ({error})"
        return
    given = judgement.margin
    agree = given is allowed if given is None or allowed is None else _same(allowed, given)
    if not agree:
        words = "no margin" if given is None else f"the margin {given:g}"
        yield f"the judgement has {words}, and the budget allows {'no figure' if allowed is None else f'{allowed:g}'}"


def _of_outcome(judgement: Judgement, setting: SettingVerdict, budget: Budget) -> Iterator[str]:
    """Compare what the figures say with an outcome, which must be at least as severe."""
    fits = judgement.outcome == "fits"
    loss, margin = judgement.loss, judgement.margin
    if budget.margin is not None and loss is None and fits:
        yield "the outcome is 'fits', and there is no loss"
    if loss is not None and margin is not None and margin >= 0 and math.isfinite(margin):
        by_loss = decide(loss, margin)
        if (fits and by_loss != "fits") or (by_loss == "breaks" and judgement.outcome != "breaks"):
            yield (
                f"the outcome is '{judgement.outcome}', and the loss {loss.loss:g} between {loss.lower:g} and "
                f"{loss.upper:g}, allowed {margin:g}, is '{by_loss}'"
            )
    size, most = setting.size_bytes, budget.size_bytes
    if fits and most is not None and (size is None or size > most):
        yield f"the outcome is 'fits', and the size is {'unknown' if size is None else f'{size} bytes'}, allowed {most}"
    if fits and budget.output_limits and judgement.used is not None and not judgement.used <= 1 + _DIGITS:
        yield f"the outcome is 'fits', and {judgement.used:g} of the allowed error of the outputs is used"


def _of_all(verdict: Verdict) -> Iterator[str]:
    """Compare the judgements with each other: all are about the same samples, by the same rule."""
    judgements = [one for setting in verdict.settings for one in setting.judgements]
    losses = [one.loss for one in judgements if one.loss is not None]
    for what, values in (
        ("n", {one.n for one in judgements if one.n}),
        ("the metric", {excerpt(loss.metric) for loss in losses}),
        ("the confidence", {loss.confidence for loss in losses}),
    ):
        if len(values) > 1:
            yield f"{what} is {' and '.join(map(str, sorted(values, key=str)))}"


def _of_plan(attestation: Attestation) -> Iterator[str]:
    """Compare the rule of the look with the budget and with the method of the bounds."""
    look, budget = attestation.plan.get("look"), attestation.verdict.budget
    judged, there = attestation.plan.get("settings_judged"), len(attestation.verdict.settings)
    if isinstance(judged, int) and judged < there:
        yield f"{judged} settings were judged, and {there} are there"
    if not isinstance(look, dict):
        return
    kind, planned = look.get("kind"), look.get("planned_n")
    if budget.planned_n is not None and (kind != "planned" or planned != budget.planned_n):
        yield f"the budget plans {budget.planned_n} samples, and the look does not"
    if budget.looks is not None and kind != budget.looks:
        yield "the budget allows any look, and the look does not"
    losses = [one.loss for setting in attestation.verdict.settings for one in setting.judgements if one.loss]
    if any(loss.any_look != (kind in {"any", "further"}) for loss in losses):
        yield f"the look is '{excerpt(str(kind))}', and the bounds are of another"


def _same(one: float, other: float) -> bool:
    return one == other or abs(one - other) <= max(_slack(one), _slack(other))


def _slack(value: float) -> float:
    return _DIGITS * max(1e-3, abs(value)) if math.isfinite(value) else 0.0


# What is shown


def told_by_figures(attestation: Attestation) -> Verdict:
    """The verdict with reasons that are written from its figures: the text of a statement is not repeated."""
    verdict, candidates = attestation.verdict, attestation.plan.get("tuning_candidates")
    among = ""
    if isinstance(candidates, int) and candidates > 0:
        among = f" (one of {counted_candidates(candidates, 0)}, chosen on other samples)"

    def told(setting: SettingVerdict) -> SettingVerdict:
        judgements = (replace(one, reason=_reason(one, setting, verdict.budget) + among) for one in setting.judgements)
        return replace(setting, judgements=tuple(judgements))

    return replace(verdict, settings=tuple(map(told, verdict.settings)))


def _reason(judgement: Judgement, setting: SettingVerdict, budget: Budget) -> str:
    """The first finding with the outcome, as in a verdict; else that the figures do not show it."""
    findings = []
    if judgement.loss is not None and judgement.margin is not None:
        findings.append(judge_loss(judgement.loss, judgement.margin))
    if budget.size_bytes is not None and setting.size_bytes is not None:
        findings.append(judge_size(setting.size_bytes, budget.size_bytes, target_of(budget).size_word))
    told = next((finding.clause for finding in findings if finding.outcome == judgement.outcome), None)
    return told or f"{_OUTCOMES[judgement.outcome]}; the statement has no figures of what decided it"


_OUTCOMES = {"fits": "keeps the budget", "breaks": "breaks the budget", "inconclusive": "is not decided"}
