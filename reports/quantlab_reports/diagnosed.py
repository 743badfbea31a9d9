"""A diagnosis as text and as JSON: what was found in a sentence, then the conventions that were tried."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from quantlab.types import Diagnosis, Reproduction, TriedConvention
from quantlab_reports.figures import EMPTY, fixed, number
from quantlab_reports.model import Column, Table, plain, table_of

__all__ = ["app_table", "diagnosis_document", "diagnosis_text", "tried_table"]

_SHOWN = 8
"""Conventions that text shows at most, the best first; programs get all."""


def diagnosis_text(diagnosis: Diagnosis, render: Callable[[Table], str]) -> str:
    """Return the sentence, then a table for each part of the diagnosis."""
    parts = [diagnosis.headline]
    if diagnosis.app:
        parts.append(render(app_table(diagnosis.app)))
    if diagnosis.tried:
        parts.append(render(tried_table(diagnosis)))
    parts += [f"! {note}" for note in diagnosis.notes]
    return "\n\n".join(parts)


def diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as plain JSON values.

    - `headline`: what was found, in one sentence or two.
    - `model`, `data`, `output`: paths as given, and the name of the output that was compared.
    - `n`, `available`, `drawn`: number of samples, number in the source, and how they were chosen.
    - `metric`: `top1` in percent, `r2`, or null if nothing was compared with labels; `score`, `interval` (`lower`,
      `upper`, `confidence`) and `log_loss` (null without classes) are those of the samples as they are.
    - `tried`: a list of conventions, the best first, with `family`, `name`, `input`, `cause`, `change`, `n`, `score`,
      `interval`, `became_right`, `became_wrong`, `p` (corrected), `named`, `log_loss` and `p_log_loss` (corrected; both
      null without classes), and `grounds`: `answers`, `log-loss` or `errors` of a regression, by which it is named.
    - `app`: a list of what reproduces the outputs of an app, the nearest first, with `family`, `name`, `input`,
      `cause`, `n`, `max_abs`, `mean_abs`, `same_top1`, `nearer`, `farther`, `p` (corrected), `equal` and `named`.
    - `notes`: sentences.
    """
    document: dict[str, Any] = plain(diagnosis)
    return document


def tried_table(diagnosis: Diagnosis) -> Table:
    """Return the conventions that were tried on labelled samples, below the samples as they are."""
    score = "top-1 % [95 %]" if diagnosis.metric == "top1" else "R²"
    as_is = TriedConvention(
        family="",
        name="as they are",
        input=None,
        cause="",
        change="",
        n=diagnosis.n,
        score=diagnosis.score or 0.0,
        interval=diagnosis.interval,
        became_right=0,
        became_wrong=0,
        p=1.0,
        log_loss=diagnosis.log_loss,
    )
    shown = [as_is, *diagnosis.tried[:_SHOWN]]
    more = len(diagnosis.tried) - _SHOWN
    columns = [
        Column("convention", lambda row: row.name, numeric=False),
        Column("input", lambda row: row.input or "", numeric=False),
        Column(score, _score),
        Column("became right", lambda row: f"{row.became_right:,}" if row.family else EMPTY),
        Column("became wrong", lambda row: f"{row.became_wrong:,}" if row.family else EMPTY),
        Column("p (Holm)", lambda row: number(row.p, 2) if row.family else EMPTY),
        Column("log loss", lambda row: number(row.log_loss, 3)),
        Column("its p (Holm)", lambda row: number(row.p_log_loss, 2) if row.family else EMPTY),
        Column("samples", lambda row: f"{row.n:,}"),
        Column("", _named, numeric=False),
    ]
    if len({row.input for row in diagnosis.tried if row.input}) < 2:
        columns = [column for column in columns if column.heading != "input"]
    if diagnosis.log_loss is None:
        columns = [column for column in columns if column.heading not in ("log loss", "its p (Holm)")]
    where = (
        f"{diagnosis.n:,} of {diagnosis.available:,} samples of '{diagnosis.data}' ({diagnosis.drawn}), output "
        f"'{diagnosis.output}' of the float model in python; {len(diagnosis.tried)} conventions were tried, and the "
        f"p-values are corrected for all of them"
    )
    below = [where]
    if any(row.n < diagnosis.n for row in shown):
        below.append("a convention that is worse on the first samples, or changes nothing, is not run on the others")
    if more > 0:
        below.append(f"{more} that rank lower are not shown; --json has all")
    keys = tuple(field.name for field in fields(TriedConvention))
    return table_of(columns, shown, keys=keys, records=[plain(row) for row in diagnosis.tried], below=below)


def _named(row: TriedConvention) -> str:
    return f"beyond chance: {' and '.join(one.replace('-', ' ') for one in row.grounds)}" if row.named else ""


def _score(row: TriedConvention) -> str:
    if row.interval is None:
        return number(row.score)
    return f"{fixed(row.score, 1)} [{fixed(row.interval.lower, 1)}, {fixed(row.interval.upper, 1)}]"


def app_table(rows: Sequence[Reproduction], does: str = "the app feeds") -> Table:
    """Return what reproduces the outputs of an app, below the name of what it does."""
    shown = rows[:_SHOWN]
    columns = [
        Column(does, lambda row: row.name, numeric=False),
        Column("largest difference", lambda row: number(row.max_abs)),
        Column("mean of largest", lambda row: number(row.mean_abs)),
        Column("same top-1 %", lambda row: EMPTY if row.same_top1 is None else fixed(row.same_top1, 1)),
        Column("nearer", lambda row: f"{row.nearer:,}" if row.family else EMPTY),
        Column("farther", lambda row: f"{row.farther:,}" if row.family else EMPTY),
        Column("p (Holm)", lambda row: number(row.p, 2) if row.family else EMPTY),
        Column("samples", lambda row: f"{row.n:,}"),
        Column("", _verdict, numeric=False),
    ]
    keys = tuple(field.name for field in fields(Reproduction))
    return table_of(columns, shown, keys=keys, records=[plain(row) for row in rows])


def _verdict(row: Reproduction) -> str:
    if row.equal:
        return "the same"
    return "nearest, beyond chance" if row.named else ""
