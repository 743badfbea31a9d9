"""Warnings above the table: unstable outputs, failed float32 checks, accuracy near chance."""

from collections.abc import Mapping, Sequence

import numpy as np

from quantlab.formats import Format
from quantlab.study.reference import STRAY_LIMIT, Probe
from quantlab.study.task import Scoring
from quantlab.types import AGAINST_REFERENCE, NARROW_DTYPES, PYTHON, Inside, Scores, Setting, Study, Trial, float32_of

__all__ = [
    "FLOAT32_SQNR_DB",
    "failed_float32_checks",
    "float32_checks",
    "near_chance",
    "unstable_reference",
    "with_straying_tensors",
]

FLOAT32_SQNR_DB = 60.0
"""Minimum SQNR in dB of a float32 artifact's scored output; below it the conversion is wrong."""

_NAMED_WEIGHTS = 3


def unstable_reference(probe: Probe, formats: Mapping[str, Format]) -> list[str]:
    """Warn if the model gives different outputs for the same samples.

    Args:
        probe: Results of the reference on a few samples.
        formats: The known formats; those that run one sample per call are named in the warning.
    """
    sentences = []
    if probe.again > STRAY_LIMIT:
        sentences.append(
            f"the model is not repeatable: a second call on the same samples gives other outputs (by up to "
            f"{100 * probe.again:.2g} % of the largest output); turn off random ops such as dropout, because they "
            f"change every figure below"
        )
    if probe.single > STRAY_LIMIT:
        sentences.append(
            f"the model gives other outputs for a sample alone than in a batch (by up to {100 * probe.single:.2g} % of "
            f"the largest output); remove statistics over the batch{_since_alone(formats)}"
        )
    return sentences


def _since_alone(formats: Mapping[str, Format]) -> str:
    """The end of the sentence that names formats without batches; empty if all take batches."""
    names = [format_.alone for format_ in formats.values() if format_.alone is not None]
    return f", because {' and '.join(names)} files run one sample at a time" if names else ""


def float32_checks(trials: Sequence[Trial], settings: Mapping[str, Setting]) -> dict[str, str]:
    """Format (or given float32 variant) → result of the float32 check of its artifact in Python, in a clause."""
    checks = {}
    for trial in trials:
        if trial.runtime != PYTHON:
            continue
        setting = settings.get(trial.setting)
        if setting is not None and not setting.quantized:
            checks[setting.format] = _float32_check(trial)
        elif setting is None and trial.variant is not None and _all_float32(trial):
            checks[trial.setting] = _float32_check(trial)
    return checks


def _all_float32(trial: Trial) -> bool:
    """Whether a given variant contains only float32, or is named float32."""
    variant = trial.variant
    if variant is None:
        return False
    named = any(note.startswith("named float32") for note in variant.notes)
    return named or not NARROW_DTYPES & set(variant.weights)


def _float32_check(trial: Trial) -> str:
    scores = trial.scores
    if trial.failure is not None or scores is None:
        return "unknown: the float32 variant could not be measured in Python"
    if scores.n == 0 and scores.left_out:
        return "unknown: the model itself is NaN or infinite on every sample"
    return f"broken: {reason}" if (reason := _broken(scores)) else f"ok: {scores.max_abs_error:.2g}"


def _broken(scores: Scores) -> str | None:
    """Why the float32 check failed, or None if it passed."""
    reasons = []
    if scores.non_finite:
        reasons.append(f"{scores.non_finite:,} output values are NaN or infinite")
    if scores.agreement is not None and scores.agreement < 100:
        flipped = scores.n - round(scores.agreement * scores.n / 100)
        reasons.append(f"{flipped:,} of {scores.n:,} predictions change")
    if scores.sqnr_db is not None and scores.sqnr_db < FLOAT32_SQNR_DB:
        reasons.append(f"the SQNR of the output is {scores.sqnr_db:.1f} dB, below {FLOAT32_SQNR_DB:g}")
    return " and ".join(reasons) or None


def failed_float32_checks(checks: Mapping[str, str], trials: Sequence[Trial], output: str) -> dict[str, str]:
    """Format (or given variant) → the warning about its failed float32 check."""
    claims = {
        trial.setting: note for trial in trials for note in trial.notes if note.startswith("named float32, holds")
    }
    given = {trial.setting for trial in trials if trial.variant is not None and trial.variant.given}
    return {
        name: _failed_check(text, output, name=name, claim=claims.get(name), given=name in given)
        for name, text in checks.items()
        if text.startswith("broken: ")
    }


def _failed_check(text: str, output: str, *, name: str, claim: str | None, given: bool) -> str:
    strays = f"{text.removeprefix('broken: ')} (output '{output}')"
    if claim is not None:
        return f"float32 check failed: {name}, {claim}, differs from the model: {strays}; it is not a float32 file"
    if given:
        return (
            f"float32 check failed: the file '{name}' differs from this model (another training run, or another "
            f"conversion): {strays}; so losses of {name} are not caused by quantization"
        )
    return (
        f"float32 check failed: {name} differs from the model in float32, before any quantization: {strays}; the "
        f"conversion is wrong, so losses of {name} are not caused by quantization"
    )


def with_straying_tensors(study: Study, inside: Inside) -> tuple[str, ...]:
    """The study's warnings; those of `failed_float32_checks` also name tensors that differ.

    They name the first tensor that differs, and the weights that differ most.
    """
    settings = {row.setting for row in inside.weights}
    tensors = {}
    for name, sentence in failed_float32_checks(study.parity, study.trials, study.scored_output).items():
        setting = name if name in settings else float32_of(name)
        tensors[sentence] = [*_first_straying(setting, inside), *_straying_weights(setting, inside)]
    return tuple("; ".join([warning, *tensors.get(warning, ())]) for warning in study.warnings)


def _first_straying(setting: str, inside: Inside) -> list[str]:
    for row in inside.layers:
        here = (row.setting, row.runtime, row.baseline, row.channel) == (setting, PYTHON, AGAINST_REFERENCE, None)
        if here and row.sqnr_db is not None and row.sqnr_db < FLOAT32_SQNR_DB:
            return [f"first tensor that differs: '{row.tensor}' of {row.layer} ({row.sqnr_db:.1f} dB)"]
    return []


def _straying_weights(setting: str, inside: Inside) -> list[str]:
    strays = [
        row
        for row in inside.weights
        if row.setting == setting and row.sqnr_db is not None and row.sqnr_db < FLOAT32_SQNR_DB
    ]
    worst = sorted(strays, key=lambda row: row.sqnr_db or 0)[:_NAMED_WEIGHTS]
    if not worst:
        return []
    named = ", ".join(f"'{row.tensor}' ({row.sqnr_db:.1f} dB)" for row in worst)
    return [f"weights that differ: {len(strays)}, most of all {named}"]


def near_chance(scoring: Scoring, scores: Scores) -> list[str]:
    """Warn if the reference is not better than guessing, often because of preprocessing other than in training."""
    if scoring.task != "classification" or scoring.labels is None or scores.top1_interval is None:
        return []
    counts = np.bincount(np.asarray(scoring.labels).reshape(-1))
    if np.count_nonzero(counts) == 1:
        only = f"all {scores.n:,} samples are of class {int(counts.argmax())}"
        return [f"{only}, so nothing is known about the other classes; give samples of every class"]
    classes = max(int(scoring.output.shape[-1] or 0), 2, len(counts))
    chance = 100 * max(float(counts.max()) / scores.n, 1 / classes)
    if scores.top1_interval.lower > chance:
        return []
    text = (
        f"the model itself is right on {scores.top1:.1f} % of the samples, and guessing is right on {chance:.1f} %; "
        f"check that the samples are preprocessed as in training (scale 0–255 or 0–1, mean, colour order) and that "
        f"the labels have the order of the outputs"
    )
    return [text]
