"""Renders verdicts as Markdown for a comment on a pull request on GitHub."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from quantlab.gate import TARGETS, outward, rounded_down, rounded_up, size
from quantlab.glossary import HINT
from quantlab.names import counted
from quantlab.types import (
    ERROR_FIGURES,
    Budget,
    ClassLoss,
    Evidence,
    Judgement,
    Loss,
    Outcome,
    OutputLimit,
    SettingVerdict,
    TrialEvidence,
    Verdict,
    WorstSample,
)
from quantlab_reports.figures import EMPTY, confidence, fixed, number
from quantlab_reports.losing import CLASS_COLUMNS, SLICE_COLUMNS, losing_classes, losing_slices
from quantlab_reports.markdown_text import as_text, comment_table, unbroken
from quantlab_reports.model import Column, table_of
from quantlab_reports.moved import MOVED_COLUMNS
from quantlab_reports.verdict_document import evidence_of, most_severe, with_evidence

__all__ = ["render_pull_request"]

_GLYPHS: dict[Outcome, str] = {"fits": "✅", "breaks": "❌", "inconclusive": "❓"}
_WORST_SHOWN = 5
"""Samples shown for each setting; the study has more."""
_CLASSES_SHOWN = 10
"""Classes shown for each setting."""
_REASON_LENGTH = 400
"""Longest reason in characters: it may contain the end of a log, which the JSON file has in full."""
_COMMENT_LENGTH = 65_000
"""Longest comment in characters; GitHub allows 65,536."""


@dataclass(frozen=True, slots=True)
class Row:
    """A setting and the runtimes in which it has the same figures."""

    study: Verdict
    setting: SettingVerdict
    judgements: tuple[Judgement, ...]
    evidence: Evidence | None
    """Evidence of the first of these runtimes."""

    @property
    def first(self) -> Judgement:
        """The judgement whose figures the row shows."""
        return self.judgements[0]

    @property
    def runtimes(self) -> str:
        """All runtimes as text."""
        return as_text(", ".join(judgement.runtime for judgement in self.judgements)) or EMPTY


def render_pull_request(verdicts: Sequence[Verdict], *, evidence: Sequence[Sequence[TrialEvidence]] = ()) -> str:
    """Render outcome, table, reasons, classes that lose, worst samples and explanations.

    Args:
        verdicts: One for each study.
        evidence: The trials of each study, in the same order; without them, classes and samples are left out.

    Raises:
        ValueError: If the numbers of verdicts and of studies with evidence differ.
    """
    rows = [row for verdict, trials in with_evidence(verdicts, evidence) for row in _rows(verdict, trials)]
    several = len(verdicts) > 1
    told = [_heading(verdicts), *(_summary(verdict, several=several) for verdict in verdicts)]
    columns = [column for column in _COLUMNS if several or column.heading != "study"]
    told.append(comment_table(table_of(columns, rows)))
    sections = [part(rows, several=several) for part in (_reasons, _classes, _slices, _moved, _worst)]
    return _within_a_comment(told, [section for section in sections if section], _footer(verdicts, rows))


def _within_a_comment(told: Sequence[str], sections: Sequence[str], footer: str) -> str:
    """Join the parts; if the comment is too long, leave out sections, beginning with the last."""
    for kept in range(len(sections), -1, -1):
        left_out = (
            ""
            if kept == len(sections)
            else "This comment is too long for GitHub and was shortened; the JSON file has the rest."
        )
        text = "\n\n".join(part for part in (*told, *sections[:kept], left_out, footer) if part)
        if len(text) <= _COMMENT_LENGTH:
            break
    return text


def _rows(verdict: Verdict, trials: Sequence[TrialEvidence]) -> list[Row]:
    """Make the rows; runtimes in which a setting shows the same figures share a row."""
    rows: list[Row] = []
    for setting in verdict.settings:
        groups: dict[tuple[str, ...], list[Judgement]] = {}
        for judgement in setting.judgements:
            row = Row(verdict, setting, (judgement,), evidence_of(judgement, trials))
            shown = tuple(column.cell(row) for column in _COLUMNS if column.heading != "runtime")
            lost = [column.cell(lost) for lost in losing_classes(row.evidence) for column in CLASS_COLUMNS]
            lost += [column.cell(lost) for lost in losing_slices(row.evidence) for column in SLICE_COLUMNS]
            groups.setdefault((*shown, _reason(judgement), *lost), []).append(judgement)
        rows += [Row(verdict, setting, tuple(alike), evidence_of(alike[0], trials)) for alike in groups.values()]
    return rows


# Above the table


def _heading(verdicts: Sequence[Verdict]) -> str:
    outcome = most_severe(verdicts)
    same = sum(verdict.outcome == outcome for verdict in verdicts)
    words = {
        "fits": "fits the budget" if same == 1 else "fit the budget",
        "breaks": "breaks the budget" if same == 1 else "break the budget",
        "inconclusive": "has too few samples to decide" if same == 1 else "have too few samples to decide",
    }[outcome]
    if len(verdicts) == 1:
        return f"### {_GLYPHS[outcome]} {as_text(verdicts[0].study) or 'The study'} {words}"
    who = f"All {len(verdicts)} studies" if same == len(verdicts) else f"{same} of {len(verdicts)} studies"
    return f"### {_GLYPHS[outcome]} {who} {words}"


def _summary(verdict: Verdict, *, several: bool) -> str:
    named = f"**{as_text(verdict.study)}**: " if several else ""
    rule = "Every named setting must fit." if verdict.named else "One quantized setting that fits is enough."
    warned = "".join(f"⚠️ {as_text(text)}\n\n" for text in verdict.warnings)
    return f"{warned}{named}{_smallest(verdict)} Budget: {_allowed_in_words(verdict.budget)}. {rule}"


def _smallest(verdict: Verdict) -> str:
    """Which setting can be shipped; that it is no quantized one, if only float32 fits."""
    if not verdict.recommended:
        return "No judged setting fits in every runtime that counts."
    chosen = f"**{as_text(verdict.recommended)}**{_size_in_words(verdict)}"
    if not verdict.fits and not verdict.named:
        return f"No quantized setting fits; {chosen}, fits in every runtime that counts and can be shipped."
    alike = " (with the lowest bound of similar sizes)" if verdict.smaller_with_higher_bound else ""
    return f"Smallest setting that fits in every runtime that counts{alike}: {chosen}."


def _size_in_words(verdict: Verdict) -> str:
    size_bytes = verdict.of(verdict.recommended).size_bytes if verdict.recommended else None
    return "" if size_bytes is None else f", {size(size_bytes)} {_size_word(verdict.budget)}".rstrip()


def _size_word(budget: Budget) -> str:
    target = TARGETS.get(budget.target)
    return target.size_word if target else ""


def _allowed_in_words(budget: Budget) -> str:
    parts = [
        f"a loss of at most {budget.margin}" if budget.margin else "",
        f"a loss of at most {budget.class_margin} in any class" if budget.class_margin else "",
        f"a loss of at most {budget.slice_margin} in any slice" if budget.slice_margin else "",
        f"a size of at most {size(budget.size_bytes)} {_size_word(budget)}".rstrip() if budget.size_bytes else "",
        f"the same top-1 on at least {number(budget.agreement, 6)} % of the samples"
        if budget.agreement is not None
        else "",
        *(_limit_in_words(limit) for limit in budget.output_limits),
    ]
    where = "" if budget.target == "any" else f", for the target {as_text(budget.target)}"
    return ", ".join(part for part in parts if part) + where


def _limit_in_words(limit: OutputLimit) -> str:
    figure = ERROR_FIGURES[limit.figure]
    of = "every output" if limit.place is None else f"output {as_text(limit.place)}"
    bound = f"at {'least' if figure.higher_is_better else 'most'} {number(limit.value, 12)}{figure.unit}"
    return f"{figure.words} of {of}: {bound}"


# The table


def _loss_cell(row: Row) -> str:
    loss = row.first.loss
    if loss is None:
        return EMPTY
    margin = row.first.margin
    if loss.unit == "pt":
        lower = rounded_down(loss.lower, -math.inf if margin is None else margin)
        upper = rounded_up(loss.upper, math.inf if margin is None else margin)
        return f"{fixed(loss.loss, 2)} [{lower}, {upper}] pt"
    lower, upper = outward(loss.lower, "down", margin), outward(loss.upper, "up", margin)
    return f"{outward(loss.loss, 'nearest')} [{lower}, {upper}] {as_text(loss.metric)}"


def _margin_cell(row: Row) -> str:
    margin, loss = row.first.margin, row.first.loss
    if margin is None or loss is None:
        return EMPTY
    return f"{number(margin, 4)} {'pt' if loss.unit == 'pt' else as_text(loss.metric)}"


def _flips_cell(row: Row) -> str:
    flips = row.first.loss.changed if row.first.loss else None
    return EMPTY if flips is None else f"{flips[0]:,}/{flips[1]:,}"


_COLUMNS = (
    Column("study", lambda row: as_text(row.study.study), numeric=False),
    Column("setting", lambda row: as_text(row.setting.setting), numeric=False),
    Column("runtime", lambda row: row.runtimes, numeric=False),
    Column("size", lambda row: EMPTY if row.setting.size_bytes is None else size(row.setting.size_bytes)),
    Column("loss", _loss_cell),
    Column("allowed", _margin_cell),
    Column("became wrong / right", _flips_cell),
    Column("verdict", lambda row: unbroken(f"{_GLYPHS[row.first.outcome]} {row.first.outcome}"), numeric=False),
)
"""Columns of a `Row`; texts are Markdown."""


# Below the table


def _name(row: Row, *, several: bool) -> str:
    return as_text(f"{row.study.study} {row.setting.setting}" if several else row.setting.setting)


def _reason(judgement: Judgement) -> str:
    text = judgement.reason
    return as_text(text if len(text) <= _REASON_LENGTH else f"{text[:_REASON_LENGTH]}…")


def _reasons(rows: Sequence[Row], *, several: bool) -> str:
    """List the reasons, most severe first; runtimes are named if a setting has several rows."""
    order: list[Outcome] = ["breaks", "inconclusive", "fits"]
    alike: dict[tuple[Outcome, str], list[str]] = {}
    for row in sorted(rows, key=lambda row: order.index(row.first.outcome)):
        parted = len(row.judgements) < len(row.setting.judgements)
        name = f"**{_name(row, several=several)}**" + (f" in {row.runtimes}" if parted else "")
        alike.setdefault((row.first.outcome, _reason(row.first)), []).append(name)
    lines = [f"- {_GLYPHS[outcome]} {', '.join(names)}: {reason}" for (outcome, reason), names in alike.items()]
    return "\n".join(["**Why**", "", *lines]) if lines else ""


def _classes(rows: Sequence[Row], *, several: bool) -> str:
    title = "**Classes that lose accuracy** (significant after Holm's correction for the number of classes)"
    losing = [(row, losses) for row in rows if (losses := losing_classes(row.evidence))]
    return _losses(title, losing, CLASS_COLUMNS, "class loses", "classes lose", several=several)


def _slices(rows: Sequence[Row], *, several: bool) -> str:
    title = "**Slices that lose accuracy** (significant after Holm's correction for the slices of one attribute)"
    losing = [(row, losses) for row in rows if (losses := losing_slices(row.evidence))]
    return _losses(title, losing, SLICE_COLUMNS, "slice loses", "slices lose", several=several)


def _losses(
    title: str,
    losing: Sequence[tuple[Row, list[ClassLoss]]],
    columns: Sequence[Column],
    one_loses: str,
    several_lose: str,
    *,
    several: bool,
) -> str:
    if not losing:
        return ""
    details = [
        _Detail(_name(row, several=several), row.runtimes, lost)
        for row, losses in losing
        for lost in losses[:_CLASSES_SHOWN]
    ]
    beyond = [
        f"{_name(row, several=several)}: {counted(more, f'more {one_loses}', f'more {several_lose}')} accuracy."
        for row, losses in losing
        if (more := len(losses) - _CLASSES_SHOWN) > 0
    ]
    return "\n\n".join([title, _details_table(columns, details), *beyond])


@dataclass(frozen=True, slots=True)
class _Detail:
    """A class, a sample or the evidence of a row, with the row's setting and runtime as Markdown."""

    setting: str
    runtime: str
    value: Any


def _details_table(columns: Sequence[Column], details: Sequence[_Detail]) -> str:
    """Render details: columns of setting and runtime, then columns of the values."""
    names = (
        Column("setting", lambda detail: detail.setting, numeric=False),
        Column("runtime", lambda detail: detail.runtime, numeric=False),
    )
    return comment_table(table_of([*names, *map(_of_value, columns)], details))


def _of_value(column: Column) -> Column:
    return replace(column, cell=lambda detail: column.cell(detail.value))


def _moved(rows: Sequence[Row], *, several: bool) -> str:
    details = [
        _Detail(_name(row, several=several), row.runtimes, row.evidence)
        for row in rows
        if row.setting.quantized and row.evidence and row.evidence.divergence is not None
    ]
    told = "Changes of the predictions: KL divergence, probability of the true class, calibration error"
    return _folded(told, _details_table(MOVED_COLUMNS, details))


def _sample(sample: WorstSample) -> str:
    """The name of its file, or its position in the user's data."""
    return as_text(sample.file) or str(sample.index if sample.source_index is None else sample.source_index)


def _class(label: int | None, name: str) -> str:
    return as_text(name) or (EMPTY if label is None else str(label))


_SAMPLE_COLUMNS = (
    Column("sample", _sample),
    Column("label", lambda sample: _class(sample.label, sample.label_name)),
    Column("model's top-1", lambda sample: _class(sample.reference_class, sample.reference_name)),
    Column("variant's top-1", lambda sample: _class(sample.candidate_class, sample.candidate_name)),
    Column("KL, nats", lambda sample: EMPTY if sample.divergence is None else _nearest(sample.divergence)),
    Column("largest difference", lambda sample: _nearest(sample.max_abs)),
)
"""Columns of a `WorstSample`."""


def _nearest(value: float) -> str:
    return outward(value, "nearest")


def _worst(rows: Sequence[Row], *, several: bool) -> str:
    details = [
        _Detail(_name(row, several=several), as_text(row.first.runtime), sample)
        for row in rows
        if row.setting.quantized and row.evidence
        for sample in row.evidence.worst[:_WORST_SHOWN]
    ]
    told = f"Samples with the largest changes: {_WORST_SHOWN} for each variant, by file or position in the data"
    return _folded(told, _details_table(_SAMPLE_COLUMNS, details))


def _folded(summary: str, table: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{table}\n\n</details>" if table else ""


# How to read it


def _footer(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> str:
    losses = [row.first.loss for row in rows if row.first.loss]
    lines = [*_sample_counts(verdicts), *_confidence_in_words(losses)]
    words = {word for verdict in verdicts if (word := _size_word(verdict.budget))}
    lines += [f"Sizes are {' or '.join(sorted(words))}."] if words else []
    untested = {text: None for verdict in verdicts for text in verdict.untested}
    lines += [f"Not tested: {as_text(', '.join(untested))}."] if untested else []
    lines += [f"{HINT}."] if lines else []
    return f"<sub>{' '.join(lines)}</sub>" if lines else ""


def _sample_counts(verdicts: Sequence[Verdict]) -> list[str]:
    counts = {
        verdict.study: max((judgement.n for setting in verdict.settings for judgement in setting.judgements), default=0)
        for verdict in verdicts
    }
    if len(verdicts) == 1:
        return [f"n = {next(iter(counts.values())):,} samples."]
    return [f"n = {', '.join(f'{count:,} ({as_text(name)})' for name, count in counts.items())}."] if counts else []


def _confidence_in_words(losses: Sequence[Loss]) -> list[str]:
    if not losses:
        return []
    sure = {confidence(loss.confidence): confidence(loss.interval_confidence) for loss in losses}
    one, two = " or ".join(sure), " or ".join(sure.values())
    lines = [f"The verdict uses one-sided {one} bounds; the table shows the matching two-sided {two} interval."]
    metrics = {f"{as_text(loss.metric)} ({'points' if loss.unit == 'pt' else 'its own unit'})" for loss in losses}
    lines.append(f"loss: how much worse the variant is than the model in {' or '.join(sorted(metrics))}.")
    if any(loss.discordant is not None for loss in losses):
        lines.append("became wrong / right: samples whose top-1 went from right to wrong, and from wrong to right.")
    return lines
