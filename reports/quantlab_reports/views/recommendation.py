"""The view of a recommendation: which setting to ship, why not the others, what was not tested, how to make it.

JSON and CSV have a row for each judged setting, with the fields of `RecommendationRow` as keys. If no setting fits, the
float32 baselines that quantlab added and that fit have a row, too.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from quantlab.gate import bound_of, decimals_of, rounded_down, rounded_up, size
from quantlab.types import SIMILAR_SIZE, ClassLoss, Judgement, Loss, Outcome, Recommendation, SettingVerdict, Verdict
from quantlab_reports.figures import confidence, fixed, number, with_sign
from quantlab_reports.judging_rules import look_words, several_settings
from quantlab_reports.model import Column, Table, plain, table_of
from quantlab_reports.verdict_document import look_document, several_document

__all__ = ["RecommendationRow", "lacking_samples", "loss_in_words", "recommendation_rows", "recommendation_table"]

_LABEL_WIDTH = 14


@dataclass(frozen=True, slots=True)
class RecommendationRow:
    """A judged setting, and whether it is recommended."""

    study: str
    """Name of the study."""
    setting: str
    """Name of the setting or of a given variant."""
    recommended: bool
    """Whether this setting is recommended."""
    verdict: Outcome
    """`fits`, `inconclusive` or `breaks`."""
    reason: str
    """Why it is not recommended; for the recommended setting, the deciding figure."""
    size_bytes: int | None
    """Size as the target transfers it; null if the conversion failed."""
    upper: float
    """Largest upper bound of the loss in any runtime that counts, in the unit of the metric; infinite if unknown."""
    on_front: bool
    """Whether the setting is on the Pareto front of size and upper bound of the loss."""
    share_of_float32: float | None
    """Recommended setting only: `size_bytes` divided by that of the format's float32 variant; otherwise null."""
    minimum_runtime: str | None
    """Recommended setting only: oldest TFLite version that can run it; otherwise null."""
    no_faster: str | None
    """Recommended setting only: a note if it is not faster than float32 on this machine; otherwise null."""
    reproduce: str | None
    """Recommended setting only: the command or program that makes it; otherwise null."""
    try_next: tuple[str, ...]
    """Settings to analyze next, the same list in every row; empty if a quantized setting fits."""
    several: Mapping[str, Any] | None
    """How it is accounted for that one of several settings is chosen, the same in every row, with the keys of `several`
    of `quantlab gate --json`; null where nothing is chosen."""
    look: Mapping[str, Any] | None
    """By which rule the samples are judged, the same in every row, with the keys of `look` of `quantlab gate --json`;
    null where looks are not recorded."""


def recommendation_rows(chosen: Recommendation) -> list[RecommendationRow]:
    """Return a row for each setting, in the order of the study, and one for each float32 baseline that fits instead."""
    return [_row(chosen, setting) for setting in (*chosen.verdict.settings, *chosen.baselines)]


def _row(chosen: Recommendation, setting: SettingVerdict) -> RecommendationRow:
    recommended = setting.setting == chosen.setting
    return RecommendationRow(
        study=chosen.verdict.study,
        setting=setting.setting,
        recommended=recommended,
        verdict=setting.outcome,
        reason=chosen.reasons.get(setting.setting, setting.reason),
        size_bytes=setting.size_bytes,
        upper=setting.upper,
        on_front=setting.setting in chosen.front,
        share_of_float32=chosen.share_of_float32 if recommended else None,
        minimum_runtime=chosen.minimum_runtime if recommended else None,
        no_faster=chosen.no_faster if recommended else None,
        reproduce=chosen.reproduce if recommended else None,
        try_next=chosen.try_next,
        several=several_document(chosen.verdict.several),
        look=look_document(chosen.verdict.look),
    )


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of text with a label."""

    label: str
    """Empty if it is the label of the line before."""
    text: str


def recommendation_table(chosen: Recommendation) -> Table:
    """Return the recommendation as a sentence, with labelled lines below."""
    verdict = chosen.verdict
    setting = verdict.of(chosen.setting) if chosen.setting else None
    recipe = (chosen.reproduce or "").rstrip().splitlines()
    how = "Reproduce in Python:" if len(recipe) > 1 else "Reproduce with this command:"
    table = table_of(
        _COLUMNS,
        _lines(chosen),
        keys=[field.name for field in fields(RecommendationRow)],
        records=[plain(row) for row in recommendation_rows(chosen)],
        above=[*(f"! {text}" for text in verdict.warnings), _ship(chosen, setting) if setting else _nothing(chosen)],
        below=[how] if recipe else [],
    )
    return replace(table, code=tuple(recipe), headed=False)


def _lines(chosen: Recommendation) -> list[_Line]:
    width = max((len(name) for name in chosen.reasons), default=0)
    untested = chosen.verdict.untested
    told = {
        "Try next": [_next(chosen)] if chosen.try_next else [],
        "Not chosen": [f"{name:{width}}  {reason}" for name, reason in chosen.reasons.items()],
        "Rule": _rule(chosen.verdict),
        "Pareto front": [_front(chosen)] if len(chosen.front) > 1 else [],
        "Class losses": [_losing(name, classes) for name, classes in chosen.losing_classes.items()],
        "Speed": [chosen.no_faster] if chosen.no_faster else [],
        "Requires": [f"TFLite {chosen.minimum_runtime} or newer"] if chosen.minimum_runtime else [],
        "Not tested": [", ".join(untested)] if untested else [],
    }
    return [line for label, texts in told.items() for line in _labelled(label, texts)]


def _rule(verdict: Verdict) -> list[str]:
    several = "" if verdict.several is None else several_settings(verdict.several)
    return [clause for clause in (several, look_words(verdict.look)) if clause]


def _labelled(label: str, texts: Iterable[str]) -> list[_Line]:
    return [_Line("" if place else label, text) for place, text in enumerate(texts)]


_COLUMNS = (
    Column("topic", lambda line: f"{line.label:{_LABEL_WIDTH}}", numeric=False),
    Column("finding", lambda line: line.text, numeric=False),
)


def _ship(chosen: Recommendation, setting: SettingVerdict) -> str:
    share = "" if chosen.share_of_float32 is None else _change(chosen.share_of_float32)
    alone = "" if any(judged.quantized and judged.outcome == "fits" for judged in chosen.verdict.settings) else _ALONE
    return f"Ship {setting.setting}: {_facts(chosen, setting, share)}{alone}{_similar(chosen.verdict)}"


_ALONE = "; no quantized setting fits"


def _facts(chosen: Recommendation, setting: SettingVerdict, share: str = "") -> str:
    weight = f"{size(setting.size_bytes)} {chosen.size_word}" if setting.size_bytes else ""
    # Without a limit of the loss, the reason is the size itself.
    decided = loss_in_words(setting).removeprefix(weight).removeprefix(", ")
    return ", ".join(part for part in (f"{weight}{share}" if weight else "", decided) if part)


def _similar(verdict: Verdict) -> str:
    """Say why a smaller setting that fits is not recommended."""
    smaller = verdict.smaller_with_higher_bound
    if not smaller:
        return ""
    percent = fixed(100 * (SIMILAR_SIZE - 1), 0)
    without_loss = verdict.recommended is not None and verdict.of(verdict.recommended).upper == math.inf
    best = "its outputs use least of the allowed error" if without_loss else "it has the lowest bound of the loss"
    return f"; of settings whose sizes differ by less than {percent} %, {best}"


def _next(chosen: Recommendation) -> str:
    return (
        f"{' and '.join(chosen.try_next)}, with more bits for each weight; add {','.join(chosen.try_next)} to the "
        f"--settings of 'quantlab analyze'"
    )


def _change(share: float) -> str:
    return f" ({with_sign(fixed(100 * (share - 1), 0))} % against float32)"


def loss_in_words(setting: SettingVerdict) -> str:
    """What a setting loses at most, or gains at least, or else the reason of its verdict, as a clause."""
    deciding = setting.deciding
    if deciding.loss is None:
        return deciding.reason
    loss = deciding.loss
    unit = " pt" if loss.unit == "pt" else f" {loss.metric}"
    sure = f"({confidence(loss.confidence)} confidence, n = {loss.n:,}{_groups(loss)})"
    runtimes = " and ".join(judgement.runtime for judgement in setting.judgements)
    share = " %" if loss.unit == "pt" else ""
    return f"{_bound(loss, _margin_of(deciding))}{unit} of {number(loss.reference, 4)}{share} {sure} in {runtimes}"


def _bound(loss: Loss, margin: float) -> str:
    """The upper bound of a loss without its unit; one below zero is what is gained at least."""
    if loss.upper < 0:
        return f"gains at least {rounded_down(-loss.upper, 0.0, decimals=decimals_of(loss))}"
    return f"loses at most {rounded_up(loss.upper, margin, decimals=decimals_of(loss))}"


def _groups(loss: Loss) -> str:
    return "" if loss.groups is None else f" in {loss.groups:,} groups"


def _margin_of(judgement: Judgement) -> float:
    return math.inf if judgement.margin is None else judgement.margin


def _nothing(chosen: Recommendation) -> str:
    baselines = [f"{judged.setting} fits: {_facts(chosen, judged)}" for judged in chosen.baselines]
    none = "No quantized setting fits" if baselines else "No setting fits"
    return "; ".join([f"{none}{lacking_samples(chosen.verdict)}", *baselines])


def lacking_samples(verdict: Verdict) -> str:
    """What follows "no setting fits": that the budget is broken, or how many samples or groups are missing."""
    grouped = [
        (judgement.missing_groups, judgement.loss.groups + judgement.missing_groups)
        for setting in verdict.settings
        for judgement in setting.judgements
        if judgement.missing_groups and judgement.loss and judgement.loss.groups
    ]
    if grouped:
        more, total = (min(counts) for counts in zip(*grouped, strict=True))
        return f" yet: too few groups of samples, at least {total:,} are needed ({more:,} more)"
    undecided = [
        (judgement.missing, judgement.n + judgement.missing)
        for setting in verdict.settings
        for judgement in setting.judgements
        if judgement.missing
    ]
    if not undecided:
        return " the budget"
    more, total = (min(counts) for counts in zip(*undecided, strict=True))
    return f" yet: too few samples, at least {total:,} are needed ({more:,} more)"


def _front(chosen: Recommendation) -> str:
    return " · ".join(_point(chosen.verdict.of(name)) for name in chosen.front)


def _point(setting: SettingVerdict) -> str:
    return f"{setting.setting} {size(setting.size_bytes or 0)}, {bound_of(setting)}"


def _losing(name: str, classes: Sequence[ClassLoss]) -> str:
    texts = [
        f"class {lost.number_and_name} loses {fixed(lost.loss, 1)} pt ({lost.right_to_wrong:,} of {lost.n:,} samples "
        f"became wrong, {lost.wrong_to_right:,} became right; p = {number(lost.p_holm, 2)} by Holm)"
        for lost in classes
    ]
    return f"{name}: {'; '.join(texts)}"
