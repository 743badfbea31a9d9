"""A study as rows of plain values with stable keys, for `--format json` and `--format csv`.

| key | description |
|---|---|
| `setting` | name of the setting or of a given variant, or `reference` |
| `runtime` | the requested runtime |
| `ran_on` | the runtime that ran it; differs only with `--fallback`; null if it did not run |
| `status` | `reference`, `measured` or `failed` |
| `reason` | why it failed; otherwise null |
| `requested` | false if it was added automatically as the float32 baseline |
| `size_bytes` | bytes of all files that must be served |
| `gzip_bytes` | the same after gzip at level 9, each file by itself, without timestamps |
| `brotli_bytes` | the same after brotli at quality 11, or 9 for more than 16 MB in total; null until a large one is compressed, and in studies of an older quantlab |
| `ratio_to_float32` | `size_bytes` divided by that of the format's float32 variant |
| `n` | number of scored samples, without `left_out` |
| `top1`, `top1_lower`, `top1_upper` | percentage with Wilson's 95 % interval; of equal scores, the lowest index counts |
| `top1_loss_points`, `…_lower`, `…_upper` | reference − variant in percentage points, positive is worse; Tango's 95 % interval |
| `top5`, `top5_loss_points` | percentage and percentage points; only with ten or more classes |
| `agreement`, `agreement_lower`, `agreement_upper` | percentage of samples with the same top-1 as the reference, with Wilson's 95 % interval; of positions, if each has a class, with that of a bootstrap of samples |
| `mean_iou`, `mean_iou_loss_points`, `…_lower`, `…_upper` | label maps: percentage, percentage points, and a 95 % interval for which samples are resampled |
| `position_accuracy`, `position_loss_points`, `…_lower`, `…_upper` | label maps and sequences: the same for the share of positions (pixels, steps) that are right |
| `right_to_wrong`, `wrong_to_right` | number of samples that became wrong and right |
| `mae`, `mae_lower`, `mae_upper` | regressions: mean absolute error against the labels, with Student's 95 % interval over samples; the interval is null with fewer than two samples, if an error is not finite, if all samples have the same one, and in studies of an older quantlab |
| `rmse` | regressions: root mean square error against the labels |
| `mae_loss`, `mae_loss_lower`, `mae_loss_upper` | variant − reference, with the same interval of the paired difference; null, too, if no sample differs |
| `rmse_loss` | variant − reference |
| `max_abs_error`, `rms_error`, `sqnr_db`, `cosine` | the scored output compared with that of the reference |
| `kl_mean`, `kl_standard_error` | KL(reference‖variant) in nats; null if it is infinite or undefined for a sample |
| `kl_infinite`, `kl_undefined` | samples with an infinite KL (the variant gives probability 0 to a class to which the reference does not), and samples without a probability distribution |
| `kl_reason` | why `kl_mean` is null; otherwise null |
| `total_variation`, `jensen_shannon` | means over samples of half the sum of all differences of probabilities, from 0 to 1, and of the Jensen–Shannon divergence in nats, from 0 to ln 2; both are finite where KL is infinite; null without classes, if a sample is undefined, and in studies of an older quantlab |
| `non_finite` | number of NaN and infinite elements of the output on scored samples; of the reference, on all samples |
| `left_out` | samples that no score includes, because the model itself is NaN or infinite there |
| `left_out_equal` | of these, samples on which the outputs of model and variant are NaN or infinite in the same places; null for the reference |
| `left_out_indices`, `left_out_files` | reference only: their positions in the source from 0, and their files; at most 1,000 |
| `left_out_weights` | reference only: weights of the model with NaN or infinity, as `<name>: <bad values> of <values> NaN`, or `infinite` |
| `left_out_tensor`, `left_out_layer` | reference only: the first tensor in the model that is not finite there, and its layer |
| `max_abs_from_python`, `flips_from_python` | largest difference, and samples with a different top-1, compared with the same artifact in `python` |
| `flips_from_python_upper` | exact one-sided 95 % upper bound of the percentage of samples with a different top-1 than in `python`; null without classes, and in studies of an older quantlab, like the next five |
| `loss_from_python`, `…_lower`, `…_upper` | accuracy in `python` − accuracy in this runtime in percentage points, with one-sided 95 % bounds (a 90 % interval); without labels the loss is null, and the bounds are those of every labelling |
| `equivalence_margin`, `equivalence` | a margin in percentage points; `equivalent` if both bounds are within it (two one-sided tests), `different` if the loss is beyond it in either direction, else `not shown` |
| `ms_per_sample` | time in the model's calls without the first batch; two processes at a time, one thread each |
| `convert_seconds` | time of the conversion; null for a given variant |
| `minimum_runtime` | oldest TFLite version that can run the file, as its converter wrote it; null if unknown |
| `weights` | bytes of stored weights by stored dtype |
| `sha256` | SHA-256 of the artifact |
| `constant_outputs` | outputs and channels (`output[channel]`) that are constant and vary in the reference |
| `repeated` | the first samples, run once more after the last one: for each `way` (`again`; of servers also `alone` and `columns`) the number of `samples`, how many are `differing`, the `largest` difference, null if a value is finite in one run only, and the `scale`, the largest output; empty for failures, and in studies of an older quantlab |
| `environment` | versions and flags that the outputs depend on |
| `device` | phone on which it ran, in words; null for this machine, and for imported outputs |
| `notes` | notes about the row |
| `reference_check` | only for the reference, null elsewhere and in studies of an older quantlab; see below |

`reference_check` holds what was found about the model itself. Differences are shares of the largest output; more than
0.001 is reported above the table.

- `again`, `single`: difference between two calls of the exported model, and between samples alone and in a batch.
- `call`, `predict`: difference between the exported model and `model(x)`, `model.predict(x)` in Keras; null if they
  were not compared.
- `layers`: the layers that cause differences, each with `name`, `kind`, `cause`, and its `effects` in the exported
  graph: `random` numbers, statistics of the `batch`, changes of `state`.
- `chance`: `top1` and its `interval`, and `chance`, what always answering the class `majority` scores, in percent of
  the `metric`: `top1`, `position-accuracy` or `mean-iou`; null without class labels.
- `class_order`: `labels`, the label that each output answers to, `top1` and `reordered_top1`; null if no other order is
  far better.
- `targets`: for each column `error`, `mean_error` and `line_error` (mean squared errors), `scale` and `offset`.

A number that does not apply is null. A float that JSON cannot represent is one of the strings `"NaN"`, `"Infinity"` and
`"-Infinity"`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from quantlab.names import counted
from quantlab.store import json_number
from quantlab.types import NAMED_SAMPLES, REFERENCE, RUNTIME_MARGIN_POINTS, Equivalence, Interval, Scores, Study, Trial

__all__ = ["KEYS", "kl_reason", "rows"]

Row = dict[str, Any]


def rows(study: Study) -> list[Row]:
    """Return the row of the reference and a row for each trial, in the order of the table."""
    float32 = {
        trial.variant.format: trial.variant.size_bytes
        for trial in study.trials
        if trial.variant is not None and trial.is_float32
    }
    return [_row(trial, study, float32) for trial in (study.reference, *study.trials)]


def _row(trial: Trial, study: Study, float32: Mapping[str, int]) -> Row:
    variant = trial.variant
    base = float32.get(variant.format) if variant else None
    row: Row = {
        "setting": trial.setting,
        "runtime": trial.runtime,
        "ran_on": trial.ran_on,
        "status": trial.status,
        "reason": trial.failure.reason if trial.failure else None,
        "requested": trial.requested,
        "size_bytes": variant.size_bytes if variant else None,
        "gzip_bytes": variant.gzip_bytes if variant else None,
        "brotli_bytes": variant.brotli_bytes if variant else None,
        "ratio_to_float32": variant.size_bytes / base if variant and base else None,
        "n": trial.scores.n if trial.scores else None,
        **_scores(trial.scores or Scores(n=0)),
        **_left_out(trial, study),
        "max_abs_from_python": trial.max_abs_from_python,
        "flips_from_python": trial.flips_from_python,
        **_equivalence(trial.equivalence),
        "ms_per_sample": trial.timing.ms_per_sample if trial.timing else None,
        "convert_seconds": variant.convert_seconds if variant else None,
        "minimum_runtime": variant.minimum_runtime if variant else None,
        "weights": dict(variant.weights) if variant else None,
        "sha256": variant.sha256 if variant else study.model.sha256 if trial.setting == REFERENCE else None,
        "constant_outputs": list(trial.constant_outputs),
        "repeated": [asdict(one) for one in trial.repeated],
        "environment": dict(trial.environment),
        "device": trial.device or None,
        "notes": list(trial.notes),
        "reference_check": _reference_check(study) if trial.setting == REFERENCE else None,
    }
    return {key: json_number(value) if isinstance(value, float) else value for key, value in row.items()}


def _reference_check(study: Study) -> Row | None:
    return None if study.reference_check is None else asdict(study.reference_check)


def _scores(scores: Scores) -> Row:
    return {
        "top1": scores.top1,
        **_bounds("top1", scores.top1_interval),
        "top1_loss_points": scores.top1_loss_points,
        **_bounds("top1_loss_points", scores.top1_loss_interval),
        "top5": scores.top5,
        "top5_loss_points": scores.top5_loss_points,
        "agreement": scores.agreement,
        **_bounds("agreement", scores.agreement_interval),
        "mean_iou": scores.mean_iou,
        "mean_iou_loss_points": scores.mean_iou_loss_points,
        **_bounds("mean_iou_loss_points", scores.mean_iou_loss_interval),
        "position_accuracy": scores.position_accuracy,
        "position_loss_points": scores.position_loss_points,
        **_bounds("position_loss_points", scores.position_loss_interval),
        "right_to_wrong": scores.right_to_wrong,
        "wrong_to_right": scores.wrong_to_right,
        "mae": scores.mae,
        **_bounds("mae", scores.mae_interval),
        "rmse": scores.rmse,
        "mae_loss": scores.mae_loss,
        **_bounds("mae_loss", scores.mae_loss_interval),
        "rmse_loss": scores.rmse_loss,
        "max_abs_error": scores.max_abs_error,
        "rms_error": scores.rms_error,
        "sqnr_db": scores.sqnr_db,
        "cosine": scores.cosine,
        "kl_mean": scores.kl_mean,
        "kl_standard_error": scores.kl_standard_error,
        "kl_infinite": scores.kl_infinite,
        "kl_undefined": scores.kl_undefined,
        "kl_reason": kl_reason(scores),
        "total_variation": scores.total_variation,
        "jensen_shannon": scores.jensen_shannon,
        "non_finite": scores.non_finite,
    }


def _equivalence(compared: Equivalence | None) -> Row:
    return {
        "flips_from_python_upper": compared.changed_upper if compared else None,
        "loss_from_python": compared.accuracy_difference if compared else None,
        "loss_from_python_lower": compared.lower if compared else None,
        "loss_from_python_upper": compared.upper if compared else None,
        "equivalence_margin": RUNTIME_MARGIN_POINTS if compared else None,
        "equivalence": compared.outcome() if compared else None,
    }


def _left_out(trial: Trial, study: Study) -> Row:
    scores = trial.scores
    known = [
        finding
        for finding in study.non_finite
        if trial.setting == REFERENCE and finding.among == "scored" and finding.output in {"", study.scored_output}
    ]
    # A sample that is NaN in the output is NaN inside as well, so two findings may name it.
    named = {
        index: finding.names.files[place] if finding.names.files else None
        for finding in known
        for place, index in enumerate(finding.names.indices)
    }
    indices = sorted(named)[:NAMED_SAMPLES]
    files = [file for index in indices if (file := named[index]) is not None]
    weights = dict.fromkeys(weight for finding in known for weight in finding.weights)
    first = next((finding for finding in known if finding.first_tensor), None)
    return {
        "left_out": (scores.left_out or 0) if scores else None,
        "left_out_equal": scores.left_out_equal if scores else None,
        "left_out_indices": indices or None,
        "left_out_files": files or None,
        "left_out_weights": list(weights) or None,
        "left_out_tensor": first.first_tensor if first else None,
        "left_out_layer": (first.first_layer or None) if first else None,
    }


_LEFT_OUT_KEYS = (
    "left_out",
    "left_out_equal",
    "left_out_indices",
    "left_out_files",
    "left_out_weights",
    "left_out_tensor",
    "left_out_layer",
)


def _bounds(name: str, interval: Interval | None) -> Row:
    return {
        f"{name}_lower": interval.lower if interval else None,
        f"{name}_upper": interval.upper if interval else None,
    }


def kl_reason(scores: Scores) -> str | None:
    """Return why there is no mean KL; None if there is one, or if KL does not apply."""
    reasons = []
    if scores.kl_infinite:
        reasons.append(
            f"the variant gives probability 0 to a class to which the reference does not ({counted(scores.kl_infinite, 'sample')})"
        )
    if scores.kl_undefined:
        reasons.append(f"the output is not a probability distribution ({counted(scores.kl_undefined, 'sample')})")
    return "; ".join(reasons) or None


KEYS: tuple[str, ...] = (
    "setting",
    "runtime",
    "ran_on",
    "status",
    "reason",
    "requested",
    "size_bytes",
    "gzip_bytes",
    "brotli_bytes",
    "ratio_to_float32",
    "n",
    *_scores(Scores(n=0)),
    *_LEFT_OUT_KEYS,
    "max_abs_from_python",
    "flips_from_python",
    *_equivalence(None),
    "ms_per_sample",
    "convert_seconds",
    "minimum_runtime",
    "weights",
    "sha256",
    "constant_outputs",
    "repeated",
    "environment",
    "device",
    "notes",
    "reference_check",
)
"""All keys of a row, in order. New keys may be added; existing keys keep their meaning within a schema."""
