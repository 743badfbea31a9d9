"""Keeps the confidence of a verdict if a study is judged again with more samples.

Who adds samples until a setting fits would pass one that loses just as much as the margin in far more than 5 % of
cases. So each judgement of a study is recorded in `looks.json`, and what was judged before decides about the bounds:

- The first look is judged as if it were the only one. It spends all of 1 − confidence; a look at other samples of the
  same study gets a tenth of it again, with bounds that hold at any number of looks (`at_any_look`).
- With `planned_n`, 1 − confidence is spent over the looks at up to so many samples (`obrien_fleming`).
- With `looks = "any"`, declared at the first look, the bounds hold at any number of looks from the beginning.
"""

from collections.abc import Sequence
from dataclasses import fields, replace

from quantlab.errors import StudyError, UsageError
from quantlab.gate.first_choice import first_choice, look_of, warning_of
from quantlab.statistics import at_any_look, obrien_fleming
from quantlab.store import Store
from quantlab.types import Budget, Evidence, Look, LookRule, Looks, Study, Verdict

__all__ = ["budget_at", "evidence_at", "look_at", "read_looks", "record_look", "recorded", "with_first_choice"]

_FURTHER = 0.1
"""Share of 1 − confidence for all looks after one that was judged as the only one."""


def read_looks(store: Store) -> Looks:
    """Read which samples were judged before; an empty record if none were.

    Raises:
        StudyError: If the file is damaged: what was looked at is then unknown.
    """
    path = store.looks_file
    if store.looks_state() == "damaged":
        raise StudyError(
            f"'{path}' is damaged, so it is unknown which samples were judged before; restore it, or analyze new "
            f"samples in another folder"
        )
    return store.read(path, Looks) or Looks()


def record_look(store: Store, record: Looks, study: Study, verdict: Verdict) -> Verdict:
    """Record a judgement, unless chance decided nothing in it.

    The verdict has a warning if the record cannot be written, as in a folder that is read-only.
    """
    verdict = with_first_choice(record, study, verdict)
    after = recorded(record, study, verdict)
    if after == record or not verdict.budget.limits_by_chance:
        return verdict
    try:
        store.write(store.looks_file, after)
    except OSError as error:
        text = (
            f"this judgement cannot be recorded in '{store.looks_file}' ({error.strerror}), so a later one with more "
            f"samples will not know of it"
        )
        return replace(verdict, warnings=(*verdict.warnings, text))
    return verdict


def look_at(record: Looks, study: Study, budget: Budget) -> LookRule:
    """The rule by which a study is judged.

    Raises:
        UsageError: If the budget declares another plan than the first look did, or the plan has ended.
    """
    before = _sets(record.looks)
    first = record.looks[0] if record.looks else None
    number = before.index(study.samples.sha256) + 1 if study.samples.sha256 in before else len(before) + 1
    if first is None:
        if budget.planned_n is not None:
            _refuse_small_plan(budget.planned_n, study.samples.n)
            return LookRule("planned", 1, budget.planned_n, n=study.samples.n)
        return LookRule("any" if budget.looks == "any" else "one", 1)
    _refuse_another_plan(record, budget)
    if first.kind == "planned":
        if number > len(before):
            _refuse_ended(record, study)
        return LookRule("planned", number, record.planned_n, n=study.samples.n)
    if first.kind == "any" or number == 1:
        return LookRule(first.kind, number)
    return LookRule("further", number)


def _refuse_small_plan(planned: int, n: int) -> None:
    if planned < n:
        raise UsageError(
            f"a plan of {planned:,} samples is smaller than the {n:,} samples of this first look; plan at least {n:,}, "
            f"or leave the plan out"
        )


def _sets(looks: Sequence[Look]) -> list[str]:
    """The sets of samples that were judged, in the order of their first look."""
    return list(dict.fromkeys(look.samples_sha256 for look in looks))


def _refuse_another_plan(record: Looks, budget: Budget) -> None:
    first = record.looks[0]
    said = {"planned": f"a plan of {record.planned_n or 0:,} samples", "any": "any number of looks"}
    declared = said.get(first.kind, "no plan")
    if budget.planned_n is not None and budget.planned_n != record.planned_n:
        asked = said["planned"].replace(f"{record.planned_n or 0:,}", f"{budget.planned_n:,}")
    elif budget.looks == "any" and first.kind != "any":
        asked = said["any"]
    else:
        return
    raise UsageError(
        f"the study was first judged with {declared} (n = {first.n:,}), and now {asked} is asked for; a plan is "
        f"declared before the first look, so leave it out, or analyze new samples in another folder"
    )


def _refuse_ended(record: Looks, study: Study) -> None:
    last, planned = record.looks[-1], record.planned_n or 0
    most = max(look.n for look in record.looks)
    if most >= planned:
        raise UsageError(
            f"the plan of {planned:,} samples ended with the look at n = {most:,}, with the outcome {last.outcome}; "
            f"analyze new samples in another folder"
        )
    if study.samples.n <= most:
        raise UsageError(
            f"the plan of {planned:,} samples was looked at with n = {most:,}, and these other samples are "
            f"{study.samples.n:,}; analyze more samples of the same source, with the same seed"
        )


def budget_at(look: LookRule | None, record: Looks, study: Study, budget: Budget) -> Budget:
    """The budget with the confidence of the bounds at a look."""
    if look is None or look.kind in {"one", "any"}:
        return budget
    if look.kind == "further":
        return replace(budget, confidence=1 - _FURTHER * (1 - budget.confidence))
    before = _sets(record.looks)[: look.number - 1]
    numbers = [next(one.n for one in record.looks if one.samples_sha256 == samples) for samples in before]
    return replace(
        budget, confidence=obrien_fleming([*numbers, study.samples.n], look.planned_n or 1, budget.confidence)
    )


def evidence_at(look: LookRule | None, evidence: Evidence, budget: Budget) -> Evidence:
    """The evidence with the bounds of a look, at the confidence of `budget_at`."""
    return at_any_look(evidence, budget.confidence) if look is not None and look.any_number else evidence


def recorded(record: Looks, study: Study, verdict: Verdict) -> Looks:
    """The record with a judgement; the same record if the same samples were judged by the same limits before."""
    look = _look(study, verdict)
    if look in record.looks:
        return record
    return Looks((*record.looks, look), verdict.look.planned_n if verdict.look else None)


def with_first_choice(record: Looks, study: Study, verdict: Verdict) -> Verdict:
    """The verdict, with a warning if its settings or their order were chosen after the first look at its samples."""
    look = _look(study, verdict)
    first = first_choice(record, look) if verdict.budget.limits_by_chance else None
    if first is None or verdict.look is None:
        return verdict
    warnings = (*verdict.warnings, warning_of(first, look))
    return replace(verdict, look=replace(verdict.look, first_choice=first), warnings=warnings)


def _look(study: Study, verdict: Verdict) -> Look:
    return look_of(study.samples.sha256, study.samples.n, _limits(verdict.budget), verdict)


def _limits(budget: Budget) -> str:
    """The limits that are set, as text."""
    names = [field.name for field in fields(budget) if field.name.startswith(("max_", "min_"))]
    values = {name: getattr(budget, name) for name in names}
    told = {name: _text(value) for name, value in values.items() if value not in {None, ()}}
    return ", ".join(f"{name} {text}" for name, text in told.items())


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
