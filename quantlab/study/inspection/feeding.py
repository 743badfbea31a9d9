"""The samples of a contract sheet: those of the user, or seeded random values; as values, and as codes of a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.affine import encode
from quantlab.names import joined
from quantlab.npy import mapped
from quantlab.statistics import blocks
from quantlab.study.attempts.contract import RightInput, RightInputs
from quantlab.study.inspection.subjects import Subject
from quantlab.types import Codes, Port, SampleSet, TensorSpec

__all__ = ["FedSamples", "ValueRange", "of_samples", "range_of_port", "ranges_of", "right_inputs", "seeded"]

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


def seeded(specs: Sequence[TensorSpec], seed: int, codes: Mapping[str, Codes] | None = None) -> FedSamples:
    """Make random values in the range that an input is known to take.

    These are the values that its codes stand for, or all numbers of 8 bits. Floats are from 0 to 1. Wider integers are
    0 or 1, since they may be indices of a short table.

    Args:
        specs: The inputs; open sizes are filled with 32.
        seed: Seed of the random numbers.
        codes: Name of an input → the codes that a file stores its values as.
    """
    random = np.random.default_rng(seed)
    values, words = {}, []
    for spec in specs:
        shape = (TRIED_SAMPLES, *(_OPEN_SIZE if size is None else size for size in spec.shape[1:]))
        dtype, of_codes = np.dtype(spec.dtype), (codes or {}).get(spec.name)
        if of_codes is not None:
            lowest, highest = (_value(of_codes, code) for code in (of_codes.lowest, of_codes.highest))
            values[spec.name] = (lowest + (highest - lowest) * random.random(shape)).astype(dtype)
            words.append("values of all codes")
        elif dtype.kind == "f":
            values[spec.name] = random.random(shape).astype(dtype)
            words.append("floats from 0 to 1")
        else:
            lowest, highest = _integers(dtype)
            values[spec.name] = random.integers(lowest, highest + 1, shape).astype(dtype)
            words.append("integers 0 or 1" if highest == 1 else f"integers {lowest} to {highest}".replace("-", "−"))
    kinds = joined(list(dict.fromkeys(words)))
    return FedSamples(values, {}, f"random values, seed {seed}: {kinds} (give --data for real samples)")


def _integers(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype.kind not in "iu" or dtype.itemsize > 1:
        return 0, 1
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _value(codes: Codes, code: int) -> float:
    return (code - codes.zero_point) * codes.scale + codes.offset


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


def range_of_port(found: ValueRange | None, port: Port) -> ValueRange | None:
    """The range of values in the unit of an input: in codes, if it takes codes."""
    if found is None or port.codes is None:
        return found
    lowest, highest = encode(np.array([found.lowest, found.highest]), port.codes, port.dtype)
    return ValueRange(float(lowest), float(highest), found.samples)


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
