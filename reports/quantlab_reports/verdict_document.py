"""Verdicts as JSON with stable keys: what `quantlab gate --json` writes.

| key | description |
|---|---|
| `schema` | 1; new keys may be added, and existing keys keep their meaning |
| `outcome` | the most severe outcome of all studies: `fits`, `inconclusive` or `breaks` |
| `studies` | a list with one entry for each study |

Of a study:

| key | description |
|---|---|
| `name` | the study's name |
| `outcome` | outcome over all settings that count |
| `named` | whether settings were named: then each must fit, otherwise one quantized setting is enough |
| `recommended` | the setting that `recommend` names, which fits in every runtime that counts; null if none fits |
| `budget` | the limits, see below; null means no limit |
| `several` | how it is accounted for that one of several settings is chosen, see below; null where nothing is chosen |
| `look` | by which rule the samples are judged, given the looks before, see below; null where looks are not recorded |
| `warnings` | warnings of the study, most severe first, for example a failed float32 check |
| `untested` | environments of the target that the study did not run, in words |
| `judgements` | a list with one entry for each setting and runtime, in the order of the table |

Of a budget:

| key | description |
|---|---|
| `max_accuracy_loss`, `max_class_loss`, `max_slice_loss` | text with a unit, for example `0.5pt` |
| `max_size` | bytes |
| `min_agreement` | percent |
| `min_sqnr`, `min_cosine`, `max_abs_error`, `max_rmse` | a list of limits, for example `40dB` or `boxes[3]=30dB` |
| `confidence` | one-sided, for example 0.95 |
| `metric` | null means the metric of the study |
| `target` | `web`, `web-mobile`, `node`, `android` or `any` |
| `runtimes` | the runtimes that count; null means those of the target |
| `order` | order in which settings are judged, names and globs; `none`: no order; null means from most bits to fewest |
| `planned_n` | the planned number of samples; null without a plan |
| `looks` | `any` if it was declared that the study is judged at any number of samples; otherwise null |
| `leave_out_non_finite` | whether samples on which the model itself is NaN or infinite may be left out |
| `allow_poor_reference` | whether a model that is no better than chance is judged all the same |
| `allow_constant` | outputs and channels that may be constant; empty means none |

Of several settings:

| key | description |
|---|---|
| `rule` | `fixed sequence` or `Bonferroni` |
| `order` | the settings in the order in which they are judged |
| `confidence` | one-sided confidence of each bound |
| `stopped_at` | the setting at which the sequence stopped: no setting after it fits; null if it did not stop |
| `passed_over` | settings that surely break or were not run, so that the sequence went on |

Of a look:

| key | description |
|---|---|
| `kind` | `one`: judged as the only look; `further`: after such a look; `planned`; `any`: one of any number |
| `number` | 1 for the first set of samples that was judged, 2 for the second, … |
| `planned_n` | the planned number of samples; null without a plan |
| `n` | the number of samples of this look; null without a plan |
| `first_choice` | how these samples were judged first, if order or settings were chosen after it; otherwise null |

Of a judgement:

| key | description |
|---|---|
| `setting` | name of the setting or of a given variant |
| `runtime` | where it ran; empty if it ran in no runtime that counts |
| `verdict` | `fits`, `inconclusive` or `breaks` |
| `reason` | the deciding figure, as text |
| `metric` | metric of the loss; null if no loss was measured, like all keys down to `tail` |
| `unit` | `pt`: percentage points; empty: the unit of the metric |
| `reference`, `candidate` | the metric of the reference and of the variant |
| `loss` | loss of the metric; positive is always worse |
| `lower`, `upper` | one-sided bounds of the loss |
| `confidence` | confidence of each bound |
| `interval_confidence` | confidence of the two-sided interval between the bounds |
| `method` | method of the bounds |
| `p_mcnemar` | p-value of McNemar's exact two-sided test; null without right and wrong, and with groups: see below |
| `tail` | the 1 % of samples that differ most: number, share of all differences, tail index; null for bounded metrics |
| `margin` | largest allowed loss, in the unit of the loss; null if the budget does not limit the loss |
| `n` | judged samples; 0 if the trial failed or was not run |
| `groups` | number of groups of judged samples that are not independent; null without `--group` or without a loss |
| `missing` | additional samples that would decide; null if decided, or if no number can decide |
| `right_to_wrong`, `wrong_to_right` | samples that became wrong and right in the metric; null if unknown, see below |
| `right_to_wrong_indices`, `wrong_to_right_indices` | indices from 0 of samples whose top-1 changed; or null |
| `size_bytes` | size as the target transfers it; null if the conversion failed |
| `others` | losses of other metrics; null without evidence, like all keys below |
| `agreement` | loss of agreement with the model over the positions of samples, with bounds; null without positions |
| `classes` | for each class: samples, became wrong and right, loss, bounds, one-sided McNemar p-value, also by Holm |
| `unscored_classes` | classes of the output of which no sample was judged, by number and name |
| `slices` | for each attribute of `--slice`: its name, the same figures for each slice, values without judged samples |
| `divergence` | KL(reference‖candidate) in nats: mean, standard error, median, percentiles, maximum, infinite samples |
| `total_variation` | the same for half the sum of all differences of probabilities, from 0 to 1; null for logits |
| `jensen_shannon` | the same for the Jensen–Shannon divergence in nats, from 0 to ln 2; null for logits |
| `true_class` | the same for the decrease of the true class's probability, reference − candidate |
| `calibration_error`, `calibration_error_reference` | expected calibration error, 15 bins, from 0 to 1 |
| `worst` | samples with the largest changes: `index` among scored ones, `source_index` in the data, `file`, names |
| `non_finite` | number of NaN and infinite elements of the output on judged samples |
| `left_out` | samples that are not judged, because the model itself is NaN or infinite there |
| `non_finite_outputs` | other outputs than the scored one → the same number; only those that have such elements |
| `figures` | figures of the outputs that the budget limits, see below; empty without such a limit |
| `constant_outputs` | outputs and channels (`output[channel]`) that are constant and vary in the reference |

McNemar's test takes samples as independent. With `--group` they are not, so `p_mcnemar` is null. The counts
`right_to_wrong` and `wrong_to_right` are given for `top1` then, and are null for other metrics.

Of a figure of an output:

| key | description |
|---|---|
| `figure` | `sqnr` (decibels), `cosine`, `max_abs_error` or `rmse`, each against the model's output |
| `output`, `channel` | name of the output; index along its last axis, null for the whole output |
| `limit` | the smallest or largest allowed value |
| `n` | judged samples |
| `value`, `lower`, `upper` | the figure and its one-sided bounds; all three are the same for the largest error |
| `confidence` | confidence of each bound |
| `method` | method of the bounds |

A float that JSON cannot represent is one of the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from quantlab.types import (
    ERROR_FIGURES,
    SEVERITY,
    Budget,
    Evidence,
    Judgement,
    LookRule,
    Loss,
    Margin,
    Outcome,
    SettingVerdict,
    SeveralSettings,
    TrialEvidence,
    Verdict,
)
from quantlab_reports.model import plain

__all__ = [
    "JUDGEMENT_KEYS",
    "VERDICT_SCHEMA",
    "evidence_of",
    "judgements_of",
    "look_document",
    "most_severe",
    "render_verdicts",
    "several_document",
    "with_evidence",
]

VERDICT_SCHEMA = 1
"""Version of the document."""

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
    "tail",
)


def render_verdicts(verdicts: Sequence[Verdict], *, evidence: Sequence[Sequence[TrialEvidence]] = ()) -> str:
    """Render all verdicts with their figures.

    Args:
        verdicts: One for each study.
        evidence: The trials of each study, in the same order; without them, no samples are listed.

    Raises:
        ValueError: If the numbers of verdicts and of studies with evidence differ.
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
    """Pair each verdict with the trials of its study, by position, because studies share names of settings.

    Raises:
        ValueError: If the numbers of verdicts and of studies with evidence differ.
    """
    if evidence and len(evidence) != len(verdicts):
        raise ValueError(
            f"there are {len(verdicts)} verdicts and the evidence of {len(evidence)} studies; give one for each"
        )
    return list(zip(verdicts, evidence or [()] * len(verdicts), strict=True))


def most_severe(verdicts: Sequence[Verdict]) -> Outcome:
    """Return the most severe outcome of all studies; inconclusive without any study."""
    return max((verdict.outcome for verdict in verdicts), key=SEVERITY.__getitem__, default="inconclusive")


def evidence_of(judgement: Judgement, trials: Sequence[TrialEvidence]) -> Evidence | None:
    """Return the evidence of a judged trial; None if there is none."""
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
        "several": several_document(verdict.several),
        "look": look_document(verdict.look),
        "warnings": verdict.warnings,
        "untested": verdict.untested,
        "judgements": judgements_of(verdict, trials),
    }


def judgements_of(verdict: Verdict, trials: Sequence[TrialEvidence] = ()) -> list[dict[str, Any]]:
    """Return the judgements of all settings and runtimes as plain values."""
    return [
        _judgement(judgement, setting, evidence_of(judgement, trials))
        for setting in verdict.settings
        for judgement in setting.judgements
    ]


def _budget(budget: Budget) -> dict[str, Any]:
    values = {limit.name: getattr(budget, limit.name) for limit in fields(budget)}
    told = {name: str(value) if isinstance(value, Margin) else value for name, value in values.items()}
    limits = {ERROR_FIGURES[name].limit: [str(limit) for limit in budget.limits_of(name)] for name in ERROR_FIGURES}
    return {**told, **{name: texts or None for name, texts in limits.items()}}


def look_document(look: LookRule | None) -> dict[str, Any] | None:
    """Return by which rule samples are judged, as plain values."""
    return None if look is None else asdict(look)


def several_document(several: SeveralSettings | None) -> dict[str, Any] | None:
    """Return how it is accounted for that one of several settings is chosen, as plain values."""
    if several is None:
        return None
    keys = ("rule", "order", "confidence", "stopped_at", "passed_over")
    return {key: getattr(several, key) for key in keys}


def _changed(loss: Loss | None, evidence: Evidence | None) -> tuple[int | None, int | None]:
    """Samples that became wrong and right; of samples in groups, only the evidence has them, and only for `top1`."""
    if loss is None:
        return None, None
    if loss.changed is None and loss.metric == "top1" and evidence is not None and evidence.same is not None:
        return len(evidence.right_to_wrong), len(evidence.wrong_to_right)
    return loss.changed or (None, None)


def _judgement(judgement: Judgement, setting: SettingVerdict, evidence: Evidence | None) -> dict[str, Any]:
    lost, gained = _changed(judgement.loss, evidence)
    compared = evidence is not None and evidence.same is not None
    return {
        "setting": judgement.setting,
        "runtime": judgement.runtime,
        "verdict": judgement.outcome,
        "reason": judgement.reason,
        **{key: getattr(judgement.loss, key) if judgement.loss else None for key in _OF_LOSS},
        "margin": judgement.margin,
        "n": judgement.n,
        "groups": judgement.loss.groups if judgement.loss else None,
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
    "agreement",
    "classes",
    "unscored_classes",
    "slices",
    "divergence",
    "total_variation",
    "jensen_shannon",
    "true_class",
    "calibration_error",
    "calibration_error_reference",
    "worst",
    "non_finite",
    "left_out",
    "non_finite_outputs",
    "figures",
)


def _beside(evidence: Evidence | None) -> dict[str, Any]:
    """Return the figures besides the deciding loss; null without evidence."""
    told = asdict(evidence) if evidence else {}
    constant = [part.name for part in evidence.constant] if evidence else None
    return {**{key: told.get(key) for key in _BESIDE}, "constant_outputs": constant}


_UNKNOWN = Judgement("", "", "inconclusive", "")

JUDGEMENT_KEYS = tuple(_judgement(_UNKNOWN, SettingVerdict("", True, None, (_UNKNOWN,)), None))
"""All keys of a judgement, in order."""
