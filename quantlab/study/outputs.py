"""Compares every output of every trial with the reference, scored or not, and each of its channels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantlab.gate import RowScores, constant_clauses, constant_notes, non_finite_clauses, sum_output_file
from quantlab.names import joined
from quantlab.npy import mapped
from quantlab.statistics import OutputSums, TensorError, constant_parts
from quantlab.study.scores_only import scores_of
from quantlab.study.side_by_side import side_by_side
from quantlab.types import ConstantOutput, OutputComparison, OutputRow, Trial

__all__ = ["ALL_CHANNELS", "ComparedOutputs", "compare_outputs", "output_rows"]

ALL_CHANNELS = 64
"""Most channels that all have a row; of more channels, the worst have one."""

_WORST_CHANNELS = 10


@dataclass(frozen=True, slots=True)
class ComparedOutputs:
    """What all outputs tell about the trials."""

    comparison: OutputComparison
    trials: tuple[Trial, ...]
    """The trials, with notes about outputs that became constant or are not finite."""
    warnings: tuple[str, ...]
    """What stands above the table: a sentence for each setting and output."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """One trial, and its outputs."""

    trial: Trial
    rows: tuple[OutputRow, ...] = ()
    constant: tuple[ConstantOutput, ...] = ()
    spoiled: tuple[str, ...] = ()
    """Clauses about outputs that are not finite."""
    reasons: tuple[str, ...] = ()


def compare_outputs(
    reference: Mapping[str, Path], trials: Sequence[Trial], scored: str, finite: npt.NDArray[np.bool_]
) -> ComparedOutputs:
    """Compare the stored outputs of all measured trials.

    Args:
        reference: Output → file of the reference.
        trials: In the order of the table; failed ones are returned as they are.
        scored: Name of the output that is scored.
        finite: (n,), whether a sample is scored; the others are left out of all outputs.

    Raises:
        OSError: If a file cannot be read.
    """
    compared = side_by_side(lambda trial: _compare(reference, trial, scored, finite), trials)
    return ComparedOutputs(
        OutputComparison(
            rows=tuple(row for one in compared for row in one.rows),
            reasons=tuple(dict.fromkeys(reason for one in compared for reason in one.reasons)),
        ),
        tuple(_noted(one) for one in compared),
        tuple(_warnings(compared)),
    )


def _compare(reference: Mapping[str, Path], trial: Trial, scored: str, finite: npt.NDArray[np.bool_]) -> _Compared:
    if trial.failure is not None:
        return _Compared(trial)
    rows: list[OutputRow] = []
    constant: list[ConstantOutput] = []
    spoiled: dict[str, int] = {}
    reasons = []
    kept = scores_of(trial)
    for name, file in trial.outputs.items():
        try:
            sums = _sums(kept, name, reference[name], file, finite)
        except ValueError as error:
            reasons.append(f"the output '{name}' of {trial.setting} in {trial.runtime} is not compared: {error}")
            continue
        rows += output_rows(trial, name, sums, scored=name == scored, shape=_shape(kept, name, file))
        constant += constant_parts(name, sums)
        if sums.error.non_finite:
            spoiled[name] = sums.error.non_finite
    return _Compared(trial, tuple(rows), tuple(constant), tuple(non_finite_clauses(spoiled)), tuple(reasons))


def _sums(kept: RowScores | None, name: str, reference: Path, file: Path, finite: npt.NDArray[np.bool_]) -> OutputSums:
    """The error of an output: kept of one that was removed; a ValueError if it does not hold numbers."""
    if kept is None:
        return sum_output_file(reference, file, finite)
    sums = kept.sums(name)
    if sums is None:
        raise ValueError(f"it does not hold numbers, but {kept.record.outputs[name].dtype}")
    return sums


def _shape(kept: RowScores | None, name: str, file: Path) -> tuple[int, ...]:
    return mapped(file).shape[1:] if kept is None else kept.record.outputs[name].shape


def output_rows(
    trial: Trial, output: str, sums: OutputSums, *, scored: bool, shape: tuple[int, ...]
) -> list[OutputRow]:
    """The row of an output, and those of its channels below it: all up to 64, otherwise the ten worst, worst first.

    Args:
        trial: The trial that gave the output.
        output: Name of the output.
        sums: Its error against the reference.
        scored: Whether it is the scored output.
        shape: For one sample.
    """
    constant = sums.constant_channels.tolist()
    whole = _row(trial, output, sums, None)
    whole = replace(whole, scored=scored, shape=shape, constant=sums.is_constant, constant_channels=tuple(constant))
    if sums.channels < 2:
        return [whole]
    chosen = range(sums.channels) if sums.channels <= ALL_CHANNELS else sums.worst_channels(_WORST_CHANNELS)
    return [
        whole,
        *(
            replace(_row(trial, output, sums, channel), scored=scored, shape=shape, constant=channel in constant)
            for channel in chosen
        ),
    ]


def _row(trial: Trial, output: str, sums: OutputSums, channel: int | None) -> OutputRow:
    error = sums.error if channel is None else sums.error_of(channel)
    (low, high), (low_candidate, high_candidate) = sums.ranges(channel).tolist()
    return OutputRow(
        setting=trial.setting,
        runtime=trial.runtime,
        output=output,
        channel=channel,
        scored=False,
        shape=(),
        n=sums.samples,
        count=error.count,
        left_out=sums.left_out if channel is None else sums.left_out_of(channel),
        different=error.different,
        non_finite=error.non_finite,
        max_abs_error=_known(error.max_abs, error),
        mean_abs_error=_known(error.mean_abs, error),
        rms_error=_known(error.rms, error),
        bias=_known(error.bias, error),
        sqnr_db=_known(error.sqnr_db, error),
        cosine=_known(error.cosine, error),
        minimum=_end(low_candidate),
        maximum=_end(high_candidate),
        reference_minimum=_end(low),
        reference_maximum=_end(high),
        constant=False,
    )


def _known(figure: float, error: TensorError) -> float | None:
    """The figure; None where no element was compared."""
    return figure if error.count else None


def _end(value: float) -> float | None:
    """The end of a range; None where no value is finite."""
    return None if math.isnan(value) else value


def _noted(one: _Compared) -> Trial:
    return replace(
        one.trial,
        constant_outputs=tuple(part.name for part in one.constant),
        notes=(*one.trial.notes, *constant_notes(one.constant), *one.spoiled),
    )


def _warnings(compared: Sequence[_Compared]) -> list[str]:
    """A sentence for each setting and what became of an output, with all runtimes in which it is the same."""
    runtimes: dict[tuple[str, str], list[str]] = {}
    for one in compared:
        for clause in (*one.spoiled, *_constant_sentences(one)):
            runtimes.setdefault((one.trial.setting, clause), []).append(one.trial.runtime)
    return [f"{setting} in {joined(names)}: {clause}" for (setting, clause), names in runtimes.items()]


def _constant_sentences(one: _Compared) -> list[str]:
    whole = [part for part in one.constant if part.channel is None]
    channels = [part for part in one.constant if part.channel is not None]
    where = f"'quantlab show layers --setting {one.trial.setting}' shows where it is lost"
    return [
        *(f"{clause}, so it tells nothing; {where}" for clause in constant_clauses(whole)),
        *(f"{clause}, so what the model says there is lost; {_MEND_CHANNELS}" for clause in constant_clauses(channels)),
    ]


_MEND_CHANNELS = "scale all channels of the output to one range, or make them outputs of their own"
