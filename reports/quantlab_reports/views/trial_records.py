"""A study as rows of plain values with stable keys: what `--format json` and `--format csv` give.

| key | is |
|---|---|
| `setting` | the setting's name, that of a given variant, or `reference` |
| `runtime` | where it was asked to run |
| `ran_on` | where it ran; another runtime only under `--fallback`; null if it did not |
| `status` | `reference`, `measured` or `failed` |
| `reason` | why it failed, else null |
| `requested` | false where it was brought along because the float32 check needs it |
| `size_bytes` | every file that must be served |
| `gzip_bytes` | each of those files by itself, gzip level 9 without a timestamp, summed |
| `brotli_bytes` | the same in brotli, quality 11, or 9 where they are more than 16 MB together; null in studies of an older quantlab |
| `ratio_to_float32` | `size_bytes` over that of the same format's float32 variant |
| `n` | samples scored |
| `top1`, `top1_lower`, `top1_upper` | percent, with Wilson's 95 % interval; the lowest index wins among equals |
| `top1_loss_points`, `…_lower`, `…_upper` | reference − candidate in percentage points, positive is worse; Tango's 95 % interval |
| `top5`, `top5_loss_points` | percent and points, from ten classes on |
| `agreement`, `agreement_lower`, `agreement_upper` | percent of samples with the reference's top-1; Wilson's 95 % interval |
| `right_to_wrong`, `wrong_to_right` | samples that lost or gained the right class |
| `mae`, `rmse`, `mae_loss`, `rmse_loss` | of a regression against its labels; losses are candidate − reference |
| `max_abs_error`, `rms_error`, `sqnr_db`, `cosine` | of the scored output against the reference's |
| `kl_mean`, `kl_standard_error` | KL(reference‖candidate) in nats; null where a sample's is infinite or undefined |
| `kl_infinite`, `kl_undefined` | samples where it is infinite (the candidate gives 0 to a class that the reference does not), or where a side is no distribution |
| `kl_reason` | why `kl_mean` is null, else null |
| `non_finite` | NaN and infinite elements of the output |
| `max_abs_from_python`, `flips_from_python` | largest difference, and samples with another top-1, from the same artifact in `python` |
| `ms_per_sample` | inside the model's calls, without the first batch; two processes at a time, one thread each |
| `convert_seconds` | in the converter; null for a given variant |
| `minimum_runtime` | the least TFLite version that runs the file, as its converter wrote it; null for tfjs, or where it did not |
| `weights` | bytes of stored weights by stored dtype |
| `sha256` | of the artifact |
| `environment` | versions and flags that the outputs depend on |
| `notes` | what the reader of the row must know |

A number that does not apply is null. A float that JSON does not have is one of the strings `"NaN"`, `"Infinity"` and
`"-Infinity"`.
"""

from collections.abc import Mapping
from typing import Any

from quantlab.store import json_number
from quantlab.types import REFERENCE, Interval, Scores, Study, Trial

__all__ = ["KEYS", "kl_reason", "rows"]

Row = dict[str, Any]


def rows(study: Study) -> list[Row]:
    """The reference's row, then each trial's, in the table's order."""
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
        "n": study.samples.n if trial.scores else None,
        **_scores(trial.scores or Scores(n=0)),
        "max_abs_from_python": trial.max_abs_from_python,
        "flips_from_python": trial.flips_from_python,
        "ms_per_sample": trial.timing.ms_per_sample if trial.timing else None,
        "convert_seconds": variant.convert_seconds if variant else None,
        "minimum_runtime": variant.minimum_runtime if variant else None,
        "weights": dict(variant.weights) if variant else None,
        "sha256": variant.sha256 if variant else study.model.sha256 if trial.setting == REFERENCE else None,
        "environment": dict(trial.environment),
        "notes": list(trial.notes),
    }
    return {key: json_number(value) if isinstance(value, float) else value for key, value in row.items()}


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
        "right_to_wrong": scores.right_to_wrong,
        "wrong_to_right": scores.wrong_to_right,
        "mae": scores.mae,
        "rmse": scores.rmse,
        "mae_loss": scores.mae_loss,
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
        "non_finite": scores.non_finite,
    }


def _bounds(name: str, interval: Interval | None) -> Row:
    return {
        f"{name}_lower": interval.lower if interval else None,
        f"{name}_upper": interval.upper if interval else None,
    }


def kl_reason(scores: Scores) -> str | None:
    """Why there is no mean KL, or None where there is one or none was to be had."""
    reasons = []
    if scores.kl_infinite:
        reasons.append(
            f"the variant gives probability 0 to a class to which the reference does not ({_samples(scores.kl_infinite)})"
        )
    if scores.kl_undefined:
        reasons.append(f"the output is not a probability distribution ({_samples(scores.kl_undefined)})")
    return "; ".join(reasons) or None


def _samples(n: int) -> str:
    return f"{n:,} sample{'' if n == 1 else 's'}"


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
    "max_abs_from_python",
    "flips_from_python",
    "ms_per_sample",
    "convert_seconds",
    "minimum_runtime",
    "weights",
    "sha256",
    "environment",
    "notes",
)
"""Every key of a row, in order; keys are added, and never change their meaning within a schema."""
