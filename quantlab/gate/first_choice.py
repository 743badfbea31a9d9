"""Compares which settings are judged, and in which order, with the first judgement of the same samples.

The error of a verdict is limited for settings and an order that were declared before any look at the samples. Who sees
that a sequence stopped, and then names another setting or another order, chooses after looking: of nine settings that
lose just as much as the margin, one then seems to fit in a third of all cases.
"""

from collections.abc import Callable, Mapping, Sequence

from quantlab.names import shortened
from quantlab.types import ChoiceRule, Look, Looks, Verdict

__all__ = ["first_choice", "look_of", "warning_of"]

_SHOWN = 9


def look_of(samples_sha256: str, n: int, limits: str, verdict: Verdict) -> Look:
    """What is recorded of a verdict."""
    several, budget = verdict.several, verdict.budget
    rule: ChoiceRule = "all"
    if several is not None:
        rule = "fixed sequence" if several.ordered else "Bonferroni"
    fitting = tuple(judged.setting for judged in verdict.settings if judged.outcome == "fits")
    judgements = [judgement for judged in verdict.settings for judgement in judged.judgements]
    return Look(
        samples_sha256,
        n,
        verdict.look.kind if verdict.look else "one",
        budget.confidence,
        limits,
        verdict.outcome,
        rule,
        several.order if several else tuple(judged.setting for judged in verdict.settings),
        several.passed_over if several else (),
        fitting if several or len(fitting) == len(verdict.settings) else (),
        tuple(dict.fromkeys(judgement.runtime for judgement in judgements if judgement.runtime)),
    )


def first_choice(record: Looks, now: Look) -> str | None:
    """How the same samples were judged first, in words; None if that declared what fits now.

    A judgement in which nothing fits needs no declaration.
    """
    known = (look for look in record.looks if look.samples_sha256 == now.samples_sha256 and look.rule != "unknown")
    first = next(known, None)
    if first is None or not now.fitting or _declared(first, now):
        return None
    return f"{_words(first, now)} ({first.outcome})"


def warning_of(first: str, now: Look) -> str:
    """Say that a choice was made after looking, as one sentence."""
    return (
        f"these samples were judged first {first}, and now {_words(now, now)}; that at most "
        f"{100 * (1 - now.confidence):.4g} % of verdicts fit wrongly holds only for what was declared before the first "
        f"look"
    )


def _words(look: Look, other: Look) -> str:
    names = shortened(look.order, most=_SHOWN)
    words = {
        "all": f"by {names}" if len(look.order) > 1 else f"by {names} alone",
        "fixed sequence": f"in the order {names}",
        "Bonferroni": f"by any of {names} in no order",
    }[look.rule]
    size = _size_limit(look)
    return f"{words}{f' with {size}' if size else ''}{'' if look is other else _runtimes(look, other)}"


def _runtimes(look: Look, other: Look) -> str:
    return "" if set(look.runtimes) <= set(other.runtimes) else f" in {shortened(look.runtimes, most=_SHOWN)}"


def _declared(first: Look, now: Look) -> bool:
    """Whether what fits now was declared by the first judgement."""
    if not set(first.runtimes) <= set(now.runtimes):
        return False
    repeated = now.budget == first.budget and set(now.fitting) <= set(first.fitting)
    return repeated or _CONTINUES.get((first.rule, now.rule), _never)(first, now)


def _never(first: Look, now: Look) -> bool:
    del first, now
    return False


def _all_of_them(first: Look, now: Look) -> bool:
    return set(first.order) == set(now.order)


def _same_sequence(first: Look, now: Look) -> bool:
    same = _size_limit(first) == _size_limit(now) or first.passed_over == now.passed_over
    return same and now.order[: len(first.order)] == first.order


_CONTINUES: Mapping[tuple[ChoiceRule, ChoiceRule], Callable[[Look, Look], bool]] = {
    ("all", "all"): lambda first, now: set(first.order) <= set(now.order),
    ("all", "fixed sequence"): lambda first, now: _begins(now.order, first.order, now.passed_over),
    ("fixed sequence", "all"): lambda first, now: _begins(first.order, now.order, first.passed_over),
    ("fixed sequence", "fixed sequence"): _same_sequence,
    ("Bonferroni", "all"): _all_of_them,
    ("Bonferroni", "Bonferroni"): _all_of_them,
}
"""Rules of the first judgement and of another one → whether the latter declares nothing new."""


def _begins(order: Sequence[str], names: Sequence[str], passed_over: Sequence[str]) -> bool:
    """Whether an order begins with all of some names, apart from what it passes over."""
    wanted = set(names)
    if not wanted <= set(order):
        return False
    last = max(place for place, name in enumerate(order) if name in wanted)
    return all(name in wanted or name in passed_over for name in order[:last])


def _size_limit(look: Look) -> str:
    return next((part for part in look.budget.split(", ") if part.startswith("max_size ")), "")
