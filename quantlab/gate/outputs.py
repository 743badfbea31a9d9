"""Every output of the model, scored or not: what became constant or is not finite, in words and in the evidence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError, UsageError
from quantlab.gate.kept_scores import RowScores
from quantlab.names import counted, nearest, shortened
from quantlab.npy import mapped
from quantlab.statistics import OutputSums, constant_parts, sum_channels
from quantlab.types import ERROR_FIGURES, EVERY_CHANNEL, Budget, ConstantOutput, Evidence, Study, Trial

__all__ = [
    "NUMBERS",
    "channels_of",
    "constant_clauses",
    "constant_notes",
    "described_outputs",
    "measured_shapes",
    "non_finite_clauses",
    "not_allowed",
    "refuse_unknown_outputs",
    "sum_output_file",
    "with_outputs",
]

NUMBERS = "biuf"
"""Kinds of NumPy data types that a runtime gives: bool, integers and floats."""

_NAMED_CHANNELS = 5


def sum_output_file(reference: Path, candidate: Path, scored: npt.NDArray[np.bool_]) -> OutputSums:
    """Compare two `.npy` files of an output, channel by channel, on the samples that are scored: (n,).

    Raises:
        ValueError: If the shapes differ, or an output does not hold real numbers.
        OSError: If a file cannot be read.
    """
    return sum_channels(mapped(reference), mapped(candidate), scored)


def with_outputs(evidence: Evidence, trial: Trial, study: Study, judged: npt.NDArray[np.bool_]) -> Evidence:
    """Add to the evidence of a trial what all of the model's outputs tell, from the stored files.

    Outputs that do not hold numbers in the reference are not judged.

    Args:
        evidence: About the scored output.
        trial: The trial, with its output files.
        study: The study, with the reference's.
        judged: (n,), whether a sample is judged.

    Raises:
        StudyError: If an output of the trial is missing, cannot be read, or has another shape than the reference's.
    """
    constant: list[ConstantOutput] = []
    non_finite = {}
    kept = RowScores.of(trial) if study.store == "scores" else None
    for name, reference in study.reference.outputs.items():
        sums = kept.sums(name) if kept is not None else _sums_of(name, reference, trial, judged)
        if sums is None:
            continue
        constant += constant_parts(name, sums)
        if name != study.scored_output and (spoiled := sums.error.non_finite):
            non_finite[name] = spoiled
    return replace(evidence, constant=tuple(constant), non_finite_outputs=non_finite)


def _sums_of(name: str, reference: Path, trial: Trial, judged: npt.NDArray[np.bool_]) -> OutputSums | None:
    file = trial.outputs.get(name)
    where = f"{trial.setting} in {trial.runtime}"
    if file is None:
        raise StudyError(f"the study has no values of the output '{name}' of {where}; run 'quantlab analyze' again")
    try:
        return sum_output_file(reference, file, judged) if mapped(reference).dtype.kind in NUMBERS else None
    except (OSError, ValueError, EOFError) as error:  # EOFError comes from an empty file
        raise StudyError(
            f"the output '{name}' of {where} cannot be compared: {error}; run 'quantlab analyze' again"
        ) from error


def not_allowed(constant: Iterable[ConstantOutput], allowed: Sequence[str]) -> tuple[ConstantOutput, ...]:
    """Leave out what a budget allows: an output with all its channels, or one channel as `output[channel]`."""
    return tuple(part for part in constant if not part.allowed_by(allowed))


def refuse_unknown_outputs(budget: Budget, studies: Iterable[Study]) -> None:
    """Check the outputs and channels that a budget names: each must be of one of the judged studies.

    Raises:
        UsageError: If no model has such an output, or the output no such channel.
    """
    known: dict[str, int] = {}
    for name, channels in (item for study in studies for item in channels_of(study).items()):
        known[name] = max(channels, known.get(name, 0))
    for name in budget.allow_constant:
        _refuse_unknown(name, known, "allowed as constant", f"allow it to be constant as '{name.rpartition('[')[0]}'")
    for limit in budget.output_limits:
        if limit.place is not None:
            option = ERROR_FIGURES[limit.figure].limit
            if _names_every_channel(limit.place, known):
                continue
            _refuse_unknown(limit.place, known, f"limited by {option}", f"name it '{limit.place.rpartition('[')[0]}'")


def _refuse_unknown(name: str, known: Mapping[str, int], purpose: str, remedy: str) -> None:
    """Refuse the name of an output or channel that no model has.

    Args:
        name: `output` or `output[channel]`.
        known: Output → number of its channels.
        purpose: What is to be done with it, for the message.
        remedy: What to do if the output has only one channel.
    """
    output, _, channel = name.removesuffix("]").rpartition("[")
    if name in known or (output in known and name in _channel_names(output, known[output])):
        return
    if known.get(output) == 1:
        raise UsageError(f"the output '{output}' has only one channel; {remedy}")
    if output in known:
        raise UsageError(
            f"the output '{output}' has no channel '{channel}' to be {purpose}; its channels are {output}[0] to "
            f"{output}[{known[output] - 1}]"
        )
    raise UsageError(f"the model has no output '{name}' to be {purpose}; {nearest(name, known)}")


def _channel_names(output: str, channels: int) -> set[str]:
    """The names that `ConstantOutput.name` gives to channels; a single channel has the name of its output."""
    return {ConstantOutput(output, channel).name for channel in range(channels)} if channels > 1 else set()


def _names_every_channel(place: str, known: Mapping[str, int]) -> bool:
    output, _, channel = place.removesuffix("]").rpartition("[")
    return channel == EVERY_CHANNEL and known.get(output, 1) > 1


def described_outputs(study: Study) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Output → shape, samples first, and dtype of the reference's."""
    if study.store == "scores":
        return RowScores.of(study.reference).described()
    arrays = {name: mapped(file) for name, file in study.reference.outputs.items()}
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def measured_shapes(study: Study) -> dict[str, tuple[int, ...]]:
    """Output → shape of the reference's, samples first."""
    return {name: shape for name, (shape, _) in described_outputs(study).items()}


def channels_of(study: Study) -> dict[str, int]:
    """Output → number of its channels."""
    return {name: shape[-1] if len(shape) > 1 else 1 for name, shape in measured_shapes(study).items()}


def constant_clauses(constant: Iterable[ConstantOutput]) -> list[str]:
    """Say what became constant, in a clause for each output; the values are those of its first channel.

    >>> constant_clauses([ConstantOutput("mask", None, 0.5, 0.5, 0.0, 1.0)])
    ["output 'mask' is constant (0.5 for every sample, and 0 to 1 in the model)"]
    >>> constant_clauses([ConstantOutput("out", 1, 0.0, 0.0, -1.25, 1.0)])
    ["channel 1 of output 'out' is constant (0 for every sample, and −1.25 to 1 in the model)"]
    """
    return [f"{_subject(parts)} ({_values(parts)})" for parts in _by_output(constant)]


def constant_notes(constant: Iterable[ConstantOutput]) -> list[str]:
    """Say the same without values, for the row of a table.

    >>> constant_notes([ConstantOutput("out", 1), ConstantOutput("out", 2), ConstantOutput("mask")])
    ["channels 1 and 2 of output 'out' are constant", "output 'mask' is constant"]
    """
    return [_subject(parts) for parts in _by_output(constant)]


def _by_output(constant: Iterable[ConstantOutput]) -> list[list[ConstantOutput]]:
    by_output: dict[str, list[ConstantOutput]] = {}
    for part in constant:
        by_output.setdefault(part.output, []).append(part)
    return list(by_output.values())


def _subject(parts: Sequence[ConstantOutput]) -> str:
    first = parts[0]
    if first.channel is None:
        return f"output '{first.output}' is constant"
    if len(parts) == 1:
        return f"channel {first.channel} of output '{first.output}' is constant"
    return f"channels {_listed(parts)} of output '{first.output}' are constant"


def _values(parts: Sequence[ConstantOutput]) -> str:
    """Values of the first of several channels, in the variant and in the model."""
    first = parts[0]
    channel = f"channel {first.channel}: " if len(parts) > 1 else ""
    given = f"{_figure(first.minimum)} for every sample"
    if first.minimum != first.maximum:
        given = f"the same values from {_figure(first.minimum)} to {_figure(first.maximum)} for every sample"
    return (
        f"{channel}{given}, and {_figure(first.reference_minimum)} to {_figure(first.reference_maximum)} in the model"
    )


def _listed(parts: Sequence[ConstantOutput]) -> str:
    return shortened([str(part.channel) for part in parts], most=_NAMED_CHANNELS)


def _figure(value: float) -> str:
    return f"{value:.3g}".replace("e-0", "e-").replace("-", "−")


def non_finite_clauses(spoiled_outputs: Mapping[str, int]) -> list[str]:
    """Say how many elements of outputs are NaN or infinite, from output → number.

    >>> non_finite_clauses({"mask": 1200})
    ["1,200 values are NaN or infinite in output 'mask'"]
    """
    return [
        f"{counted(spoiled, 'value is', 'values are')} NaN or infinite in output '{name}'"
        for name, spoiled in spoiled_outputs.items()
    ]
