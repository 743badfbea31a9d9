"""The limits of a budget, one function each. A function judges one trial, or returns None if it does not apply."""

from collections.abc import Callable, Sequence

from quantlab.errors import UsageError
from quantlab.gate.class_limits import judge_classes, judge_slices
from quantlab.gate.figures import allowed, at_least, at_most, carried_by_few, rounded_down, rounded_up, size_against
from quantlab.gate.finding import WITHOUT_LABELS, Finding, is_at, undecided, undecided_groups
from quantlab.gate.output_limits import judge_figures
from quantlab.gate.outputs import constant_clauses, non_finite_clauses, not_allowed
from quantlab.gate.targets import Target
from quantlab.names import counted
from quantlab.statistics import clopper_pearson, decide, missing_samples, samples_needed
from quantlab.types import Budget, Evidence, Loss, TrialEvidence

__all__ = ["CRITERIA", "judge_loss", "judge_size"]


def _measured(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    del budget, target
    failure = given.trial.failure
    return Finding("breaks", f"failed in {given.trial.runtime}: {failure.reason}") if failure else None


def _finite(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    del budget, target
    spoiled = given.evidence.non_finite if given.evidence else 0
    return (
        Finding("breaks", f"{counted(spoiled, 'output value is', 'output values are')} NaN or infinite")
        if spoiled
        else None
    )


def _other_outputs_finite(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    del budget, target
    clauses = non_finite_clauses(given.evidence.non_finite_outputs) if given.evidence else []
    return Finding("breaks", "; ".join(clauses)) if clauses else None


def _constant(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    """Judge all outputs, scored or not: what is constant tells nothing, whatever the loss of the metric is."""
    del target
    constant = not_allowed(given.evidence.constant, budget.allow_constant) if given.evidence else ()
    if not constant:
        return None
    names = [part.name for part in constant]
    if len(names) > _NAMED_OUTPUTS:
        names = list(dict.fromkeys(part.output for part in constant))
    options = " ".join(f"--allow-constant '{name}'" for name in names)
    return Finding("breaks", f"{'; '.join(constant_clauses(constant))}; to accept that, give {options}")


_NAMED_OUTPUTS = 3


def _loss(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    del target
    if budget.margin is None or given.evidence is None:
        return None
    loss = given.evidence.loss
    if loss is None:
        instead = WITHOUT_LABELS if given.evidence.same is None else "use min_agreement instead"
        raise UsageError(
            f"the budget limits the loss to {budget.margin}, and the samples have no labels; give samples with labels, "
            f"or {instead}"
        )
    return judge_loss(loss, budget.margin.of(loss))


def judge_loss(loss: Loss, margin: float) -> Finding:
    """Judge a loss by a margin in its unit."""
    told = carried_by_few(loss)
    outcome = decide(loss, margin)
    if outcome == "fits":
        return Finding("fits", f"{at_most(loss, margin)}, {allowed(margin)}{told}")
    if outcome == "breaks":
        return Finding("breaks", f"{at_least(loss, margin)}, {allowed(margin)}{told}")
    missing = missing_samples(loss, margin)
    clause = f"{at_most(loss, margin)}, {allowed(margin)}{told}" if loss.upper >= 0 else ""
    if loss.groups is not None:
        return undecided_groups(loss, clause, margin, missing)
    told = undecided(clause, loss.n, missing, at_limit=is_at(loss.loss, margin))
    return Finding("inconclusive", told, missing)


def _agreement(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    del target
    if budget.agreement is None or given.evidence is None:
        return None
    evidence = given.evidence
    if evidence.agreement is not None:
        return _agreement_by_bounds(evidence.agreement, budget.agreement, of_samples=evidence.same is not None)
    if evidence.same is None:
        raise UsageError(f"the budget sets min_agreement, and the scored output has no classes; {WITHOUT_LABELS}")
    interval = clopper_pearson(evidence.same, evidence.n, confidence=2 * budget.confidence - 1)
    lower, upper = 100 * interval.lower, 100 * interval.upper
    if upper < budget.agreement:
        return Finding(
            "breaks",
            f"same top-1 on at most {rounded_up(upper, budget.agreement)} % of the samples, "
            f"required {budget.agreement:g} %",
        )
    agrees = f"same top-1 on at least {rounded_down(lower)} % of the samples, required {budget.agreement:g} %"
    if lower >= budget.agreement:
        return Finding("fits", agrees)
    missing = _missing_for_agreement(evidence, budget.agreement, budget.confidence)
    at_limit = is_at(100 * (1 - evidence.same / evidence.n), 100 - budget.agreement)
    return Finding("inconclusive", undecided(agrees, evidence.n, missing, at_limit=at_limit), missing)


def _agreement_by_bounds(loss: Loss, floor: float, *, of_samples: bool) -> Finding:
    """Judge the share of positions with the same class by bounds from a bootstrap of samples, or that of samples in
    groups by the bounds of groups.
    """
    same, whole = ("same top-1 on", "samples") if of_samples else ("same class in", "positions")
    outcome = decide(loss, 100 - floor)
    if outcome == "breaks":
        most = rounded_up(100 - loss.lower, floor)
        return Finding("breaks", f"{same} at most {most} % of the {whole}, required {floor:g} %")
    agrees = f"{same} at least {rounded_down(100 - loss.upper)} % of the {whole}, required {floor:g} %"
    if outcome == "fits":
        return Finding("fits", agrees)
    missing = missing_samples(loss, 100 - floor)
    if loss.groups is not None:
        return undecided_groups(loss, agrees, 100 - floor, missing)
    told = undecided(agrees, loss.n, missing, at_limit=is_at(loss.loss, 100 - floor))
    return Finding("inconclusive", told, missing)


def _missing_for_agreement(evidence: Evidence, floor: float, confidence: float) -> int | None:
    """Like the loss criterion, for the share of samples that disagree."""
    disagrees = 1 - (evidence.same or 0) / evidence.n
    needed = samples_needed(disagrees, disagrees, 1 - floor / 100, confidence)
    return None if needed is None else max(1, needed - evidence.n)


def _output_errors(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    del budget, target
    return judge_figures(given.evidence.figures) if given.evidence else None


def _size(given: TrialEvidence, budget: Budget, target: Target) -> Finding | None:
    if budget.size_bytes is None or given.trial.variant is None:
        return None
    return judge_size(target.size_of(given.trial.variant), budget.size_bytes, target.size_word)


def judge_size(actual: int, allowed_bytes: int, word: str) -> Finding:
    """Judge a size in bytes; the word says how it is transferred."""
    clause = size_against(actual, allowed_bytes, word)
    return Finding("fits" if actual <= allowed_bytes else "breaks", clause)


CRITERIA: Sequence[Callable[[TrialEvidence, Budget, Target], Finding | None]] = (
    _measured,
    _finite,
    _other_outputs_finite,
    _constant,
    _loss,
    judge_classes,
    judge_slices,
    _agreement,
    _output_errors,
    _size,
)
"""In order of priority: among equally severe results, the first gives the reason."""
