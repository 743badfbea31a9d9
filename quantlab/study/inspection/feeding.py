"""The samples of a contract sheet: those of the user, or seeded random values; as values, and as codes of a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.affine import encode
from quantlab.npy import mapped
from quantlab.statistics import blocks
from quantlab.study.attempts.contract import RightInput, RightInputs
from quantlab.study.inspection.subjects import Subject
from quantlab.types import Codes, Port, SampleSet, TensorSpec

__all__ = ["FedSamples", "ValueRange", "formula_of", "of_samples", "ranges_of", "right_inputs", "seeded"]

Array = npt.NDArray[Any]

TRIED_SAMPLES = 4
"""Number of samples that are fed in calls."""

_OPEN_SIZE = 32
"""Size of an open dimension of random values."""


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Smallest and largest finite values that were seen."""

    lowest: float
    highest: float
    samples: int


@dataclass(frozen=True, slots=True)
class FedSamples:
    """Samples for the model's inputs."""

    values: Mapping[str, Array]
    """Name of an input in the model → some samples in the model's dtype."""
    ranges: Mapping[str, ValueRange]
    """Name of an input in the model → range of all samples; empty for random values."""
    words: str


def seeded(specs: Sequence[TensorSpec], seed: int) -> FedSamples:
    """Make random values: numbers from 0 to 1, and 0 or 1 for integers, since those may be indices of a short table.

    Args:
        specs: The inputs; open sizes are filled with 32.
        seed: Seed of the random numbers.
    """
    random = np.random.default_rng(seed)
    values = {}
    for spec in specs:
        shape = (TRIED_SAMPLES, *(_OPEN_SIZE if size is None else size for size in spec.shape[1:]))
        dtype = np.dtype(spec.dtype)
        numbers = random.random(shape) if dtype.kind == "f" else random.integers(0, 2, shape)
        values[spec.name] = numbers.astype(dtype)
    return FedSamples(
        values, {}, f"random values, seed {seed}: from 0 to 1, integers 0 or 1 (give --data for real samples)"
    )


def of_samples(samples: SampleSet) -> FedSamples:
    """Take the first of the user's samples, and the range of all."""
    values = {spec.name: np.array(mapped(samples.input_file(spec.name))[:TRIED_SAMPLES]) for spec in samples.inputs}
    ranges = ranges_of({spec.name: mapped(samples.input_file(spec.name)) for spec in samples.inputs})
    count = len(next(iter(values.values())))
    return FedSamples(values, ranges, f"{count} of {samples.n:,} samples of {samples.source}")


def ranges_of(arrays: Mapping[str, Array]) -> dict[str, ValueRange]:
    """The ranges of the finite values of arrays; an array without finite values has none."""
    ranges = ((name, _range_of(values)) for name, values in arrays.items())
    return {name: value_range for name, value_range in ranges if value_range is not None}


def _range_of(values: Array) -> ValueRange | None:
    """The range of an array's finite values, sample by sample along the first axis; None if there are none."""
    lowest, highest = np.inf, -np.inf
    for block in blocks(values):
        part = values[block].astype(np.float64)
        finite = part[np.isfinite(part)]
        lowest, highest = min(lowest, finite.min(initial=np.inf)), max(highest, finite.max(initial=-np.inf))
    return ValueRange(float(lowest), float(highest), len(values)) if lowest <= highest else None


def right_inputs(subject: Subject, fed: FedSamples) -> RightInputs:
    """The samples in the dtypes, codes and batch size that a subject takes."""
    return RightInputs(tuple(_right_input(subject, port, fed) for port in subject.inputs), subject.unit)


def _right_input(subject: Subject, port: Port, fed: FedSamples) -> RightInput:
    values = fed.values[port.name]
    # A batch that is fixed above the number of samples is filled with the first ones again.
    count = -(-max(len(values), subject.unit) // subject.unit) * subject.unit
    values = values[np.arange(count) % len(values)]
    taken = encode(values, port.codes, port.dtype) if port.codes else values.astype(port.dtype)
    return RightInput(subject.own_names[port.name], port.shape, taken)


def formula_of(codes: Codes, *, is_input: bool) -> str:
    """How codes are computed, to copy.

    >>> formula_of(Codes(0.5, 3, 0, 255), is_input=True)
    'code = clip(round(value / 0.5) + 3, 0, 255)'
    >>> formula_of(Codes(0.5, -3, -128, 127), is_input=False)
    'value = (code + 3) * 0.5'
    """
    if is_input:
        sign, zero = ("-", -codes.zero_point) if codes.zero_point < 0 else ("+", codes.zero_point)
        return f"code = clip(round(value / {codes.scale!r}) {sign} {zero}, {codes.lowest}, {codes.highest})"
    sign, zero = ("+", -codes.zero_point) if codes.zero_point < 0 else ("-", codes.zero_point)
    return f"value = (code {sign} {zero}) * {codes.scale!r}"
