"""Warnings above the table about float32: failed float32 checks, and the first tensors that differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantlab.names import counted, decibels, shortened, two_digits
from quantlab.types import (
    AGAINST_REFERENCE,
    NARROW_DTYPES,
    PYTHON,
    STRAY_LIMIT,
    Inside,
    OutputRow,
    ReferenceCheck,
    Scores,
    Setting,
    Study,
    TensorSpec,
    Trial,
    float32_of,
)

__all__ = [
    "FLOAT32_SQNR_DB",
    "CheckedOutputs",
    "failed_float32_checks",
    "float32_checks",
    "of_output",
    "with_straying_tensors",
]

FLOAT32_SQNR_DB = 60.0
"""Minimum SQNR in dB of each output of a float32 artifact; below it the conversion is wrong."""

_FLIPS_LIMIT = 5e-5
"""Share of predictions that may change in a float32 artifact: one of 20,000, and none of 10,000. Of a million samples,
a few have two classes that are nearly equal, and rounding decides between them."""

_NAMED_WEIGHTS = 3
_NAMED_OUTPUTS = 3


@dataclass(frozen=True, slots=True)
class CheckedOutputs:
    """What is known of all outputs of the trials, for the float32 check."""

    scored: str
    """Name of the scored output."""
    rows: Sequence[OutputRow] = ()
    """Figures of every output; those of channels are not used."""
    specs: Sequence[TensorSpec] = ()
    """The outputs of the reference, with the data types that were observed."""
    positions: bool = False
    """Whether samples have several positions with a class in the scored output."""

    def has_integers(self, name: str) -> bool:
        """Whether an output holds integers or booleans."""
        return any(spec.name == name and spec.dtype.startswith(("int", "uint", "bool")) for spec in self.specs)

    def others_of(self, trial: Trial) -> list[OutputRow]:
        """The outputs of a trial that are not scored."""
        place = (trial.setting, trial.runtime, None)
        return [
            row
            for row in self.rows
            if (row.setting, row.runtime, row.channel) == place and row.output != self.scored and row.count
        ]


def float32_checks(trials: Sequence[Trial], settings: Mapping[str, Setting], outputs: CheckedOutputs) -> dict[str, str]:
    """Format (or float32 variant) → result of its float32 check in Python: `ok: …`, `broken: …` or `unknown: …`."""
    checks = {}
    for trial in trials:
        if trial.runtime != PYTHON:
            continue
        setting = settings.get(trial.setting)
        if setting is not None and not setting.quantized:
            checks[setting.format] = _float32_check(trial, outputs)
        elif setting is None and trial.variant is not None and _all_float32(trial):
            checks[trial.setting] = _float32_check(trial, outputs)
    return checks


def _all_float32(trial: Trial) -> bool:
    """Whether a given variant contains only float32, or is named float32."""
    variant = trial.variant
    if variant is None:
        return False
    named = any(note.startswith("named float32") for note in variant.notes)
    return named or not NARROW_DTYPES & set(variant.weights)


def _float32_check(trial: Trial, outputs: CheckedOutputs) -> str:
    scores = trial.scores
    if trial.failure is not None or scores is None:
        return "unknown: the float32 variant could not be measured in Python"
    if scores.n == 0 and scores.left_out:
        return "unknown: the model itself is NaN or infinite on every sample"
    others = outputs.others_of(trial)
    reasons = {
        outputs.scored: _scored_reasons(scores, outputs),
        **{row.output: _reasons(row, integers=outputs.has_integers(row.output)) for row in others},
    }
    broken = [f"{' and '.join(found)} {of_output(name)}" for name, found in reasons.items() if found]
    if broken:
        return f"broken: {shortened(broken, most=_NAMED_OUTPUTS)}"
    largest = [row.max_abs_error for row in others if not outputs.has_integers(row.output)]
    if not outputs.has_integers(outputs.scored):
        largest.append(scores.max_abs_error)
    if not largest and scores.agreement is not None:
        return f"ok: {two_digits(100 - scores.agreement)} % of the values change"
    return f"ok: {max((error or 0.0 for error in largest), default=scores.max_abs_error or 0.0):.2g}"


def of_output(name: str) -> str:
    """The end of a clause of a failed float32 check, about one output."""
    return f"(output '{name}')"


def _scored_reasons(scores: Scores, outputs: CheckedOutputs) -> list[str]:
    """Why the float32 check of the scored output failed; empty if it passed.

    Of many predictions, positions or class numbers, a few may differ, because two classes are nearly equal there.
    """
    reasons = _spoiled(scores.non_finite or 0)
    if outputs.positions or outputs.has_integers(outputs.scored):
        if scores.agreement is not None and scores.agreement < 100 * (1 - STRAY_LIMIT):
            reasons.append(f"{two_digits(100 - scores.agreement)} % of the classes change")
    elif scores.agreement is not None and scores.agreement < 100:
        flipped = scores.n - round(scores.agreement * scores.n / 100)
        if flipped > _FLIPS_LIMIT * scores.n:
            reasons.append(f"{flipped:,} of {scores.n:,} predictions {'changes' if flipped == 1 else 'change'}")
    return reasons if outputs.has_integers(outputs.scored) else reasons + _noisy(scores.sqnr_db)


def _reasons(row: OutputRow, *, integers: bool) -> list[str]:
    """The same for another output.

    Of integers, such as the index of the largest value, a few may differ, because the values are nearly equal.
    """
    if integers and row.different > STRAY_LIMIT * row.count:
        return [f"{row.different:,} of {row.count:,} values {'differs' if row.different == 1 else 'differ'}"]
    if integers:
        return []
    return _spoiled(row.non_finite) + _noisy(row.sqnr_db)


def _spoiled(count: int) -> list[str]:
    return [f"{counted(count, 'output value is', 'output values are')} NaN or infinite"] if count else []


def _noisy(sqnr_db: float | None) -> list[str]:
    if sqnr_db is None or sqnr_db >= FLOAT32_SQNR_DB:
        return []
    return [f"the SQNR of the output is {decibels(sqnr_db)}, below {FLOAT32_SQNR_DB:g}"]


def failed_float32_checks(
    checks: Mapping[str, str], trials: Sequence[Trial], reference: ReferenceCheck | None
) -> dict[str, str]:
    """Format (or given variant) → the warning about its failed float32 check.

    Args:
        checks: The result of `float32_checks`.
        trials: The trials that were checked.
        reference: The check of the reference: a conversion is not blamed for a model that does not repeat itself. None
            in studies of an older quantlab.
    """
    claims = {
        trial.setting: note for trial in trials for note in trial.notes if note.startswith("named float32, holds")
    }
    given = {trial.setting for trial in trials if trial.variant is not None and trial.variant.given}
    return {
        name: _failed_check(text, name=name, claim=claims.get(name), given=name in given)
        if reference is None or reference.repeats
        else _failed_with_reference(name, text)
        for name, text in checks.items()
        if text.startswith("broken: ")
    }


def _failed_check(text: str, *, name: str, claim: str | None, given: bool) -> str:
    strays = text.removeprefix("broken: ")
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


def _failed_with_reference(name: str, text: str) -> str:
    return (
        f"float32 check failed: {name} differs from the model in float32, before any quantization: "
        f"{text.removeprefix('broken: ')}; the model itself gives other outputs for the same "
        f"samples, as said above, so this tells nothing about the conversion"
    )


def with_straying_tensors(study: Study, inside: Inside) -> tuple[str, ...]:
    """The study's warnings; those of `failed_float32_checks` also name tensors that differ.

    They name the first tensor that differs, and the weights that differ most.
    """
    settings = {row.setting for row in inside.weights}
    tensors = {}
    failed = failed_float32_checks(study.parity, study.trials, study.reference_check)
    for name, sentence in failed.items():
        setting = name if name in settings else float32_of(name)
        tensors[sentence] = [*_first_straying(setting, inside), *_straying_weights(setting, inside)]
    return tuple("; ".join([warning, *tensors.get(warning, ())]) for warning in study.warnings)


def _first_straying(setting: str, inside: Inside) -> list[str]:
    for row in inside.layers:
        here = (row.setting, row.runtime, row.baseline, row.channel) == (setting, PYTHON, AGAINST_REFERENCE, None)
        if here and row.sqnr_db is not None and row.sqnr_db < FLOAT32_SQNR_DB:
            return [f"first tensor that differs: '{row.tensor}' of {row.layer} ({decibels(row.sqnr_db)})"]
    return []


def _straying_weights(setting: str, inside: Inside) -> list[str]:
    strays = [
        row
        for row in inside.weights
        if row.setting == setting and row.sqnr_db is not None and row.sqnr_db < FLOAT32_SQNR_DB
    ]
    if not strays:
        return []
    worst = sorted(strays, key=lambda row: row.sqnr_db or 0)
    named = shortened([f"'{row.tensor}' ({decibels(row.sqnr_db or 0.0)})" for row in worst], most=_NAMED_WEIGHTS)
    return [f"weights that differ most: {named}"]
