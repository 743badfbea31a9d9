"""Whether a setting that kept one budget keeps another, without judging it again."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

from quantlab.types import ERROR_FIGURES, EVERY_CHANNEL, Budget, Margin, OutputLimit, Verdict

__all__ = ["looser_limits"]


def looser_limits(verdict: Verdict, asked: Budget) -> tuple[str, ...]:
    """Return a clause for each limit of a budget that a verdict by another budget does not answer.

    A limit that both have must be at least as strict in the budget of the verdict; one that only the verdict's budget
    has makes it stricter. What has no order, as the target, must be equal. A key of `Budget` that no rule here knows
    must be equal, too, so that a new key is never taken as kept.

    Args:
        verdict: The verdict, with the budget that it was judged by.
        asked: The budget to be kept.
    """
    return tuple(
        clause
        for field in fields(Budget)
        for clause in _RULES.get(field.name, _equal)(field.name, verdict, asked)
        if clause
    )


_Rule = Callable[[str, Verdict, Budget], Iterator[str]]


def _equal(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    known, wanted = getattr(verdict.budget, key), getattr(asked, key)
    if known != wanted:
        yield f"{key} is {_said(known)} there, and {_said(wanted)} is asked"


def _said(value: Any) -> str:
    if value is None:
        return "not limited"
    return ", ".join(map(str, value)) or "empty" if isinstance(value, tuple) else str(value)


def _at_most(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    """A limit that is stricter if it is smaller; a margin in another unit cannot be compared."""
    known, wanted = getattr(verdict.budget, key), getattr(asked, key)
    comparable = not isinstance(known, Margin) or not isinstance(wanted, Margin) or known.unit == wanted.unit
    if wanted is not None and (known is None or not comparable or _number(known) > _number(wanted)):
        yield f"{key} is {_said(known)} there, and {_said(wanted)} is asked"


def _number(limit: Any) -> float:
    return float(limit.value if isinstance(limit, Margin) else limit)


def _at_least(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    known, wanted = getattr(verdict.budget, key), getattr(asked, key)
    if wanted is not None and (known is None or known < wanted):
        yield f"{key} is {_said(known)} there, and {_said(wanted)} is asked"


def _allowed(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    if getattr(verdict.budget, key) and not getattr(asked, key):
        yield f"{key} was allowed there, and is not now"


def _allowed_names(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    more = [name for name in getattr(verdict.budget, key) if name not in getattr(asked, key)]
    if more:
        yield f"{key} allowed {', '.join(more)} there, and does not now"


def _irrelevant(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    """What kept the confidence when it was judged: an order of settings, which all must fit here, or planned looks."""
    if not verdict.named:
        yield from _equal(key, verdict, asked)


_DIRECTION = re.compile(r":(higher|lower)(:sample)?$")
"""End of the name of a function of the user."""


def _metric(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    """Compare the metric that was judged by, if there is a loss and a metric is asked for by name."""
    if asked.metric is None:
        if verdict.budget.metric is not None:
            yield f"{key} is {verdict.budget.metric} there, and that of the study is asked"
        return
    judgements = [judgement for setting in verdict.settings for judgement in setting.judgements]
    known = dict.fromkeys(judgement.loss.metric for judgement in judgements if judgement.loss is not None)
    name = _DIRECTION.sub("", asked.metric)
    if list(known) != [name] and asked.margin is not None:
        yield f"{key} is {', '.join(known) or 'not known'} there, and {asked.metric} is asked"


def _runtimes(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    """Each runtime that counts now must have counted: it is named there, or was judged as one of the target's."""
    known, wanted = verdict.budget.runtimes, asked.runtimes
    if wanted is None or known is not None:
        uncounted = [name for name in wanted or () if name not in (known or ())]
        if uncounted or (wanted is None and known is not None):
            yield f"{key} is {_said(known)} there, and {_said(wanted) if wanted else 'those of the target'} is asked"
        return
    judged = {judgement.runtime for setting in verdict.settings for judgement in setting.judgements}
    missing = [name for name in wanted if not any(fnmatchcase(runtime, name) for runtime in judged)]
    if missing:
        yield f"it was not judged in {', '.join(missing)}"


def _output_limits(key: str, verdict: Verdict, asked: Budget) -> Iterator[str]:
    """Compare limits place by place; a place with a limit of its own is left out of that for all others."""
    known = {limit.place: limit for limit in getattr(verdict.budget, key) or ()}
    wanted = {limit.place: limit for limit in getattr(asked, key) or ()}
    for place, limit in wanted.items():
        applies = known.get(place, known.get(_covering(place)))
        if applies is None or _is_looser(applies, limit):
            yield f"{key} is {_said(applies)} there, and {limit} is asked"
    for place, limit in known.items():
        covering = wanted.get(_covering(place)) if place not in wanted else None
        if covering is not None and _is_looser(limit, covering):
            yield f"{key} is {limit} there, and {covering} is asked"


def _covering(place: str | None) -> str | None:
    """The place whose limit applies where this place has none: all channels of its output, or all outputs."""
    output, bracket, _ = (place or "").rpartition("[")
    return f"{output}[{EVERY_CHANNEL}]" if bracket else None


def _is_looser(limit: OutputLimit, than: OutputLimit) -> bool:
    figure = ERROR_FIGURES[limit.figure]
    return limit.value < than.value if figure.higher_is_better else limit.value > than.value


_RULES: Mapping[str, _Rule] = {
    "max_accuracy_loss": _at_most,
    "max_class_loss": _at_most,
    "max_slice_loss": _at_most,
    "max_size": _at_most,
    "min_agreement": _at_least,
    **{figure.limit: _output_limits for figure in ERROR_FIGURES.values()},
    "confidence": _at_least,
    "metric": _metric,
    "runtimes": _runtimes,
    **dict.fromkeys(("order", "planned_n", "looks"), _irrelevant),
    "leave_out_non_finite": _allowed,
    "allow_poor_reference": _allowed,
    "allow_constant": _allowed_names,
}
"""Key of a budget → its rule; the others, as `target`, must be equal."""
