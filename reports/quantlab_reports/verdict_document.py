"""Verdicts as JSON with stable keys: what `quantlab gate --json` writes.

| key | is |
|---|---|
| `schema` | 1; keys are added within it, and never change their meaning |
| `outcome` | the most severe of all studies: `fits`, `inconclusive` or `breaks` |
| `studies` | a list, one entry each |

Of a study:

| key | is |
|---|---|
| `name` | the study's name |
| `outcome` | of all its settings that count |
| `named` | whether settings were asked for by name: then every one must fit, else one quantized setting is enough |
| `recommended` | the smallest setting that fits in every runtime that counts, else null |
| `budget` | what was allowed, see below; null is not asked for |
| `warnings` | of the study, the most severe first: a broken float32 check says that its losses are not quantization's |
| `untested` | what the target has and the study did not run, in words |
| `judgements` | a list, one entry for each setting and runtime, in the order of the table |

Of a budget:

| key | is |
|---|---|
| `max_accuracy_loss`, `max_class_loss` | text with its unit, as `0.5pt` |
| `max_size` | bytes |
| `min_agreement` | percent |
| `confidence` | one-sided, as 0.95 |
| `metric` | null is the study's own |
| `target` | `web`, `web-mobile`, `node`, `android` or `any` |
| `runtimes` | those that count; null is the target's |

Of a judgement:

| key | is |
|---|---|
| `setting` | the setting's name, or that of a given variant |
| `runtime` | where it ran; empty where it ran in none that counts |
| `verdict` | `fits`, `inconclusive` or `breaks` |
| `reason` | a clause: what decides |
| `metric` | what the loss is of; null, as all down to `p_mcnemar`, where no loss was measured |
| `unit` | `pt`: percentage points of a metric told in percent; empty: the metric's own unit |
| `reference`, `candidate` | the metric of either |
| `loss` | positive is worse, whichever way the metric goes |
| `lower`, `upper` | one-sided bounds of the loss |
| `confidence` | of each bound |
| `interval_confidence` | of the two-sided interval that both bounds make |
| `method` | how the bounds were found |
| `p_mcnemar` | two-sided exact McNemar test; null where the metric does not count right and wrong |
| `margin` | what may be lost, in the loss' unit; null where the budget does not limit the loss |
| `n` | samples judged; 0 where it failed or was not run |
| `missing` | samples more that would decide; null where it is decided, or no number would |
| `right_to_wrong`, `wrong_to_right` | samples that lost or gained in the metric; null as `p_mcnemar` |
| `right_to_wrong_indices`, `wrong_to_right_indices` | which lost or gained the right top-1, from 0; null without |
| `size_bytes` | what the target transfers of the setting; null where nothing was converted |
| `others` | losses of further metrics; null without evidence, as all below |
| `classes` | every class: became wrong and right, loss, bounds, p of a one-sided exact McNemar test, also by Holm |
| `divergence` | KL(reference‖candidate) in nats: mean and its error, median, percentiles, maximum, infinite ones |
| `true_class` | the same of what the true class's probability fell by, reference − candidate |
| `calibration_error`, `calibration_error_reference` | expected calibration error, 15 bins, from 0 to 1 |
| `worst` | the samples on which the variant strays most, by index from 0 among those that were scored |
| `non_finite` | NaN and infinite elements of the output |

A float that JSON does not have is one of the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from quantlab.types import (
    SEVERITY,
    Budget,
    Evidence,
    Judgement,
    Loss,
    Margin,
    Outcome,
    SettingVerdict,
    TrialEvidence,
    Verdict,
)
from quantlab_reports.model import plain

__all__ = [
    "JUDGEMENT_KEYS",
    "VERDICT_SCHEMA",
    "evidence_of",
    "flips_of",
    "judgements_of",
    "most_severe",
    "render_verdicts",
    "with_evidence",
]

VERDICT_SCHEMA = 1
"""Of the document."""

_OF_LOSS = (
    "metric",
    "unit",
    "reference",
    "candidate",
    "loss",
    "lower",
    "upper",
    "confidence",
    "interval_confidence",
    "method",
    "p_mcnemar",
)


def render_verdicts(verdicts: Sequence[Verdict], *, evidence: Sequence[Sequence[TrialEvidence]] = ()) -> str:
    """All that was decided, and by which figures.

    Args:
        verdicts: One for each study.
        evidence: The trials of each study, in the same order; empty leaves out which became wrong or right.

    Raises:
        ValueError: If there is evidence, of another number of studies.
    """
    document = {
        "schema": VERDICT_SCHEMA,
        "outcome": most_severe(verdicts),
        "studies": [_study(verdict, trials) for verdict, trials in with_evidence(verdicts, evidence)],
    }
    return json.dumps(plain(document), indent=1, ensure_ascii=False, allow_nan=False)


def with_evidence(
    verdicts: Sequence[Verdict], evidence: Sequence[Sequence[TrialEvidence]]
) -> list[tuple[Verdict, Sequence[TrialEvidence]]]:
    """Each verdict with its study's trials; studies have settings of the same names, so they are told by place.

    Raises:
        ValueError: If there is evidence, of another number of studies.
    """
    if evidence and len(evidence) != len(verdicts):
        raise ValueError(
            f"there are {len(verdicts)} verdicts and the evidence of {len(evidence)} studies; give one for each"
        )
    return list(zip(verdicts, evidence or [()] * len(verdicts), strict=True))


def most_severe(verdicts: Sequence[Verdict]) -> Outcome:
    """One study is enough to object; no study is inconclusive."""
    return max((verdict.outcome for verdict in verdicts), key=SEVERITY.__getitem__, default="inconclusive")


def flips_of(loss: Loss | None) -> tuple[int, int] | None:
    """Samples that lost and that gained, from their sum and difference; None where the metric counts none.

    >>> flips_of(Loss("top1", "higher", "pt", 200, 97.5, 97.0, 0.5, 0, 1, 0.95, "Tango", discordant=3))
    (2, 1)
    """
    if loss is None or loss.discordant is None or not math.isfinite(loss.loss):
        return None
    more_lost = round(loss.loss * loss.n / 100)
    return (loss.discordant + more_lost) // 2, (loss.discordant - more_lost) // 2


def evidence_of(judgement: Judgement, trials: Sequence[TrialEvidence]) -> Evidence | None:
    """What is known of the trial that was judged; None where nothing is."""
    for known in trials:
        if (known.trial.setting, known.trial.runtime) == (judgement.setting, judgement.runtime):
            return known.evidence
    return None


def _study(verdict: Verdict, trials: Sequence[TrialEvidence]) -> dict[str, Any]:
    return {
        "name": verdict.study,
        "outcome": verdict.outcome,
        "named": verdict.named,
        "recommended": verdict.recommended,
        "budget": _budget(verdict.budget),
        "warnings": verdict.warnings,
        "untested": verdict.untested,
        "judgements": judgements_of(verdict, trials),
    }


def judgements_of(verdict: Verdict, trials: Sequence[TrialEvidence] = ()) -> list[dict[str, Any]]:
    """What is decided about each setting in each runtime, under the keys of a judgement."""
    return [
        _judgement(judgement, setting, evidence_of(judgement, trials))
        for setting in verdict.settings
        for judgement in setting.judgements
    ]


def _budget(budget: Budget) -> dict[str, Any]:
    values = {limit.name: getattr(budget, limit.name) for limit in fields(budget)}
    return {name: str(value) if isinstance(value, Margin) else value for name, value in values.items()}


def _judgement(judgement: Judgement, setting: SettingVerdict, evidence: Evidence | None) -> dict[str, Any]:
    lost, gained = flips_of(judgement.loss) or (None, None)
    compared = evidence is not None and evidence.same is not None
    return {
        "setting": judgement.setting,
        "runtime": judgement.runtime,
        "verdict": judgement.outcome,
        "reason": judgement.reason,
        **{key: getattr(judgement.loss, key) if judgement.loss else None for key in _OF_LOSS},
        "margin": judgement.margin,
        "n": judgement.n,
        "missing": judgement.missing,
        "right_to_wrong": lost,
        "wrong_to_right": gained,
        "right_to_wrong_indices": evidence.right_to_wrong if evidence and compared else None,
        "wrong_to_right_indices": evidence.wrong_to_right if evidence and compared else None,
        "size_bytes": setting.size_bytes,
        **_beside(evidence),
    }


_BESIDE = (
    "others",
    "classes",
    "divergence",
    "true_class",
    "calibration_error",
    "calibration_error_reference",
    "worst",
    "non_finite",
)


def _beside(evidence: Evidence | None) -> dict[str, Any]:
    """What is told beside the loss that decides; null without evidence."""
    told = asdict(evidence) if evidence else {}
    return {key: told.get(key) for key in _BESIDE}


_UNKNOWN = Judgement("", "", "inconclusive", "")

JUDGEMENT_KEYS = tuple(_judgement(_UNKNOWN, SettingVerdict("", True, None, (_UNKNOWN,)), None))
"""Every key of a judgement, in order."""
