"""The view of verdicts: a row for each setting, with the deciding figure.

JSON and CSV have a row for each setting and runtime: `study`, and the keys of a judgement in `verdict_document`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from quantlab.names import counted
from quantlab.types import SettingVerdict, TrialEvidence, Verdict
from quantlab_reports.judging_rules import look_words, several_settings
from quantlab_reports.model import Column, Table, plain, table_of
from quantlab_reports.verdict_document import JUDGEMENT_KEYS, judgements_of, with_evidence

__all__ = ["KEYS", "verdict_table"]

KEYS = ("study", *JUDGEMENT_KEYS)
"""All keys of a row, in order."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A setting of a study."""

    study: str
    setting: SettingVerdict


def verdict_table(verdicts: Sequence[Verdict], *, evidence: Sequence[Sequence[TrialEvidence]] = ()) -> Table:
    """Return a row for each setting, with a line for each study below.

    ```text
    fashion  tfjs-uint8   FITS    loses at most 0.15 pt, allowed 0.50
    fashion  tflite-int8  BREAKS  class 6 loses at least 1.35 pt, allowed 1.00 (…)
    BREAKS: 1 of 2 settings
    ```

    Args:
        verdicts: One for each study.
        evidence: The trials of each study, in the same order; only programs get them.

    Raises:
        ValueError: If the numbers of verdicts and of studies with evidence differ.
    """
    table = table_of(
        _COLUMNS,
        [_Row(verdict.study, setting) for verdict in verdicts for setting in verdict.settings],
        keys=KEYS,
        records=[
            _record(verdict, judgement)
            for verdict, trials in with_evidence(verdicts, evidence)
            for judgement in judgements_of(verdict, trials)
        ],
        above=[f"! {verdict.study}: {text}" for verdict in verdicts for text in verdict.warnings],
        below=[_summary(verdict, several=len(verdicts) > 1) for verdict in verdicts],
    )
    return replace(table, headed=False)


def _record(verdict: Verdict, judgement: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = plain({"study": verdict.study, **judgement})
    return record


def _reason(row: _Row) -> str:
    """Return the deciding reason; with its runtime if runtimes have different outcomes."""
    outcomes = {judgement.outcome for judgement in row.setting.judgements}
    deciding = row.setting.deciding
    named = deciding.runtime in deciding.reason
    return deciding.reason if len(outcomes) == 1 or named else f"in {deciding.runtime}: {deciding.reason}"


_COLUMNS = (
    Column("study", lambda row: row.study, numeric=False),
    Column("setting", lambda row: row.setting.setting, numeric=False),
    Column("verdict", lambda row: row.setting.outcome.upper(), numeric=False),
    Column("reason", _reason, numeric=False),
)


def _summary(verdict: Verdict, *, several: bool) -> str:
    judged = [setting for setting in verdict.settings if verdict.named or setting.quantized]
    same = sum(setting.outcome == verdict.outcome for setting in judged)
    one = "" if verdict.named or verdict.outcome != "fits" else "; one quantized setting that fits is enough"
    prefix = f"{verdict.study}: " if several else ""
    return f"{prefix}{verdict.outcome.upper()}: {same} of {counted(len(judged), 'setting')}{one}{_rule(verdict)}"


def _rule(verdict: Verdict) -> str:
    several = "" if verdict.several is None else several_settings(verdict.several)
    return "".join(f"; {clause}" for clause in (several, look_words(verdict.look)) if clause)
