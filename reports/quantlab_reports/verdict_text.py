"""A verdict and a recommendation for a terminal."""

import math
from collections.abc import Sequence

from quantlab.gate import decimals_of, rounded_up, size
from quantlab.types import ClassLoss, Judgement, Recommendation, SettingVerdict, Verdict

__all__ = ["render_recommendation", "render_verdicts_text"]

_LABEL_WIDTH = 14


def render_verdicts_text(verdicts: Sequence[Verdict]) -> str:
    """A line for each setting, and one for all.

    ```text
    fashion  tfjs-uint8   FITS    loses at most 0.15 pt, allowed 0.50
    fashion  tflite-int8  BREAKS  class 6 loses 2.2 pt, at least 1.35 (…), allowed 1.00
    BREAKS: 1 of 2
    ```
    """
    warnings = [f"! {verdict.study}: {text}" for verdict in verdicts for text in verdict.warnings]
    rows = [(verdict, each) for verdict in verdicts for each in verdict.settings]
    widths = [max((len(text) for text in column), default=0) for column in zip(*map(_first_cells, rows), strict=False)]
    lines = []
    for row in rows:
        cells = "  ".join(f"{text:{width}}" for text, width in zip(_first_cells(row), widths, strict=True))
        lines.append(f"{cells}  {reason_of(row[1])}")
    return "\n".join([*warnings, *lines, _summary(verdicts)])


def _first_cells(row: tuple[Verdict, SettingVerdict]) -> tuple[str, str, str]:
    return row[0].study, row[1].setting, row[1].outcome.upper()


def reason_of(each: SettingVerdict) -> str:
    """The clause that decides; with its runtime where the others say otherwise."""
    outcomes = {judgement.outcome for judgement in each.judgements}
    deciding = each.deciding
    named = deciding.runtime in deciding.reason
    return deciding.reason if len(outcomes) == 1 or named else f"in {deciding.runtime} {deciding.reason}"


def _summary(verdicts: Sequence[Verdict]) -> str:
    lines = []
    for verdict in verdicts:
        counted = [each for each in verdict.settings if verdict.named or each.quantized]
        same = sum(each.outcome == verdict.outcome for each in counted)
        one = "" if verdict.named or verdict.outcome != "fits" else "; one quantized setting is enough"
        prefix = f"{verdict.study}: " if len(verdicts) > 1 else ""
        lines.append(f"{prefix}{verdict.outcome.upper()}: {same} of {len(counted)}{one}")
    return "\n".join(lines)


def render_recommendation(found: Recommendation) -> str:
    """What to ship, why not the others, what was not tested, and how to make it."""
    verdict = found.verdict
    chosen = verdict.of(found.setting) if found.setting else None
    lines = [f"! {text}" for text in verdict.warnings]
    lines.append(_ship(found, chosen) if chosen else _nothing(verdict))
    width = max((len(name) for name in found.reasons), default=0)
    lines += _labelled("Not chosen", [f"{name:{width}}  {reason}" for name, reason in found.reasons.items()])
    lines += _labelled("To choose from", [_front(found)] if len(found.front) > 1 else [])
    lines += _labelled("Classes", [_losing(name, classes) for name, classes in found.losing_classes.items()])
    lines += _labelled("Speed", [found.no_faster] if found.no_faster else [])
    needs = f"TFLite {found.minimum_runtime} or newer" if found.minimum_runtime else ""
    lines += _labelled("Needs", [needs] if needs else [])
    lines += _labelled("Not tested", [", ".join(verdict.untested)] if verdict.untested else [])
    return "\n".join([*lines, *_recipe(found.reproduce or "")])


def _recipe(text: str) -> list[str]:
    """A command beside its label; a program below it, so that it can be copied."""
    lines = text.rstrip().split("\n") if text else []
    return _labelled("Reproduce", lines) if len(lines) < 2 else ["Reproduce in Python:", "", *lines]


def _labelled(label: str, texts: Sequence[str]) -> list[str]:
    return [f"{label if not place else '':{_LABEL_WIDTH}}  {text}".rstrip() for place, text in enumerate(texts)]


def _ship(found: Recommendation, chosen: SettingVerdict) -> str:
    share = "" if found.share_of_float32 is None else f" ({100 * (found.share_of_float32 - 1):+.0f} %)"
    weight = f"{size(chosen.size_bytes)} {found.size_word}{share}" if chosen.size_bytes else ""
    weight = weight.replace("-", "−")
    return f"Ship {chosen.setting}: {', '.join(part for part in (weight, _loss(chosen)) if part)}"


def _loss(chosen: SettingVerdict) -> str:
    deciding = chosen.deciding
    if deciding.loss is None:
        return deciding.reason
    loss = deciding.loss
    unit = " pt" if loss.unit == "pt" else f" {loss.metric}"
    sure = f"({100 * loss.confidence:g} %, n = {loss.n:,})"
    runtimes = " and ".join(judgement.runtime for judgement in chosen.judgements)
    bound = rounded_up(max(loss.upper, 0.0), _margin_of(deciding), decimals=decimals_of(loss))
    most = f"loses at most {bound}{unit} of {loss.reference:.4g}"
    return f"{most} {sure} in {runtimes}"


def _margin_of(judgement: Judgement) -> float:
    return math.inf if judgement.margin is None else judgement.margin


def _nothing(verdict: Verdict) -> str:
    missing = [judgement.missing for each in verdict.settings for judgement in each.judgements if judgement.missing]
    total = {
        judgement.n + judgement.missing
        for each in verdict.settings
        for judgement in each.judgements
        if judgement.missing
    }
    if not missing:
        return "Nothing fits"
    return f"Nothing fits yet: at least {min(total):,} samples are needed to know, {min(missing):,} more than there are"


def _front(found: Recommendation) -> str:
    return " · ".join(_point(found.verdict.of(name)) for name in found.front)


def _point(each: SettingVerdict) -> str:
    loss = each.deciding.loss
    unit = " pt" if loss is not None and loss.unit == "pt" else ""
    decimals = 2 if loss is None else decimals_of(loss)
    most = rounded_up(max(each.upper, 0.0), decimals=decimals)
    return f"{each.setting} {size(each.size_bytes or 0)}, at most {most}{unit}"


def _losing(name: str, classes: Sequence[ClassLoss]) -> str:
    texts = [
        f"class {each.label} {each.loss:.1f} pt ({each.right_to_wrong} lost, {each.wrong_to_right} gained of "
        f"{each.n:,}; p = {each.p_holm:.2g}, Holm)"
        for each in classes
    ]
    return f"{name} loses {', '.join(texts)}"
