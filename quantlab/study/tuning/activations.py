"""Sums over the inputs of kernels, read from the float32 artifact on the calibration samples.

Each sample is run alone, because the last bits of a batch may depend on its size. The sums are of integers, so that
they do not depend on how samples are divided among blocks or calls. Two passes are made: the first finds the largest
magnitude of each tensor. Memory does not grow with the samples: a block of them is summed while the next is read.

A tensor that cannot be read of one sample is left out of all: sums over some of the samples would be others' sums.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import StudyError
from quantlab.foreign import reading
from quantlab.models import files_sha256
from quantlab.names import counted
from quantlab.npy import mapped
from quantlab.runtimes.taps import Session
from quantlab.study.inside.sessions import SessionInputs, list_variant_taps, open_variant
from quantlab.study.side_by_side import result_of
from quantlab.types import PYTHON, Variant
from quantlab_converters.hessians import HessianSums
from quantlab_converters.tunable import TunableWeights

__all__ = ["SumsFile", "TimeIsOverError", "sum_inputs", "sums_over"]

Array = npt.NDArray[Any]

_STEP = "read the inputs of the weights on the calibration samples"
_BLOCK_BYTES = 64 << 20
_SAMPLE_SECONDS = 0.01
"""About how long a sample takes in each of the two passes, until that was measured."""
_SUMS, _RECORD = "hessians.npz", "hessians.json"


@dataclass(frozen=True, slots=True)
class SumsFile:
    """The record of kept sums."""

    sha256: str
    """Of their file."""


class TimeIsOverError(Exception):
    """The time for reading the samples is over."""

    def __init__(self, read: int) -> None:
        super().__init__(f"the time was over after {counted(read, 'sample')}")
        self.read = read
        """Samples that were read, in both passes."""


def sum_inputs(
    inputs: SessionInputs,
    variant: Variant,
    weights: TunableWeights,
    indices: Sequence[int],
    folder: Path,
    *,
    deadline: float,
) -> dict[str, HessianSums]:
    """Kernel → the sums over its inputs; kept in a folder, and read again from there.

    Args:
        inputs: The calibration samples.
        variant: The float32 artifact.
        weights: Its kernels.
        indices: The calibration samples that are summed.
        folder: Named by everything that the sums depend on.
        deadline: In seconds of `time.monotonic`. If it is over before all samples were read, no kernel has sums.

    Raises:
        QuantlabError: If the artifact cannot be run.
    """
    context = inputs.context
    record = context.store.read(folder / _RECORD, SumsFile)
    if record is not None and (folder / _SUMS).is_file() and files_sha256(folder / _SUMS) == record.sha256:
        context.progress.end(_STEP, "kept")
        return _load(folder / _SUMS)
    context.progress.plan(_STEP, 2 * len(indices), _SAMPLE_SECONDS)
    context.progress.begin(_STEP, 2 * len(indices))
    try:
        sums = _summed(inputs, variant, weights, indices, deadline)
    except TimeIsOverError as over:
        context.progress.skip(_STEP, 2 * len(indices) - over.read)
        context.progress.end(_STEP, "time is over")
        context.progress.warn(_unread(len(indices)))
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / _SUMS, sums)
    context.store.write(folder / _RECORD, SumsFile(files_sha256(folder / _SUMS)))
    context.progress.end(_STEP, "done")
    return sums


def _unread(count: int) -> str:
    return (
        f"little time was left before all {counted(count, 'calibration sample')} had been read, so weights are rounded "
        f"to the nearest codes and not by GPTQ; give more --budget-minutes or fewer samples of --calibration"
    )


def _summed(
    inputs: SessionInputs, variant: Variant, weights: TunableWeights, indices: Sequence[int], deadline: float
) -> dict[str, HessianSums]:
    if time.monotonic() > deadline:  # opening the artifact takes some seconds
        raise TimeIsOverError(0)
    reader = _Reader.open(inputs, variant, weights)
    return sums_over(lambda: reader.blocks(indices, deadline), weights)


def sums_over(blocks: Callable[[], Iterator[Mapping[str, Array]]], weights: TunableWeights) -> dict[str, HessianSums]:
    """The sums over blocks of samples, whatever their sizes; kernels whose inputs some block lacks have none.

    Args:
        blocks: Called twice; yields tensor → its values for some samples.
        weights: The kernels.
    """
    bounds: dict[str, float] | None = None
    for values in blocks():
        found = {tensor: float(np.abs(block).max(initial=0.0)) for tensor, block in values.items()}
        bounds = found if bounds is None else _largest(bounds, found)
    bounds, sums = bounds or {}, _Sums(weights)
    with ThreadPoolExecutor(1, thread_name_prefix="quantlab-sums") as thread:
        adding: Future[None] | None = None
        for values in blocks():
            if adding is not None:
                result_of(adding)
            adding = thread.submit(sums.add, {name: values[name] for name in values if name in bounds}, bounds)
        if adding is not None:
            result_of(adding)
    return sums.of_all or {}


def _largest(bounds: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    """The larger one of each, NaN if one is; without what one of them lacks."""
    return {name: float(np.maximum(bound, others[name])) for name, bound in bounds.items() if name in others}


@dataclass(slots=True)
class _Sums:
    """The sums over the blocks so far, of the kernels that all of them had."""

    weights: TunableWeights
    of_all: dict[str, HessianSums] | None = None
    """None before the first block."""

    def add(self, values: Mapping[str, Array], bounds: Mapping[str, float]) -> None:
        parts = self.weights.sums_of(values, bounds)
        if self.of_all is None:
            self.of_all = parts
        else:
            self.of_all = {name: one + parts[name] for name, one in self.of_all.items() if name in parts}


@dataclass(slots=True)
class _Reader:
    """Reads the tensors of the float32 artifact, one sample at a time."""

    inputs: SessionInputs
    session: Session
    fed: Mapping[str, Array]
    """Tensor of the artifact → the samples, for tensors that are inputs of the model."""
    read: int = 0
    """Samples that were read, in both passes."""

    @classmethod
    def open(cls, inputs: SessionInputs, variant: Variant, weights: TunableWeights) -> "_Reader":
        ports = {port.tensor.removesuffix(":0"): port.name for port in variant.inputs}
        wanted = set(weights.tensors)
        taps = [tap for tap in list_variant_taps(inputs, variant) if tap.name in wanted]
        fed = {tensor: mapped(inputs.samples.input_file(name)) for tensor, name in ports.items() if tensor in wanted}
        return cls(inputs, open_variant(inputs, variant, PYTHON, taps), fed)

    def blocks(self, indices: Sequence[int], deadline: float) -> Iterator[dict[str, Array]]:
        """Tensor → its values for some of the samples; as many samples as fit into a block.

        Raises:
            TimeIsOverError: If the deadline is over before a sample is read.
        """
        held: list[dict[str, Array]] = []
        size = 0
        for index in indices:
            if time.monotonic() > deadline:
                raise TimeIsOverError(self.read)
            read = self.session.read(index, index + 1).taps
            fed = {name: np.asarray(samples[index : index + 1], np.float32) for name, samples in self.fed.items()}
            held.append({name: np.array(values) for name, values in {**read, **fed}.items()})
            size += sum(values.nbytes for values in held[-1].values())
            self.inputs.context.progress.advance(_STEP, 1)
            self.inputs.context.progress.work(_STEP, 1)
            self.read += 1
            if size > _BLOCK_BYTES:
                yield _joined(held)
                held, size = [], 0
        if held:
            yield _joined(held)


def _joined(held: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The samples of a block as arrays, without tensors that were not read of one of them."""
    everywhere = [name for name in held[0] if all(name in values for values in held)]
    return {name: np.concatenate([values[name] for values in held]) for name in everywhere}


def _save(file: Path, sums: Mapping[str, HessianSums]) -> None:
    arrays: dict[str, Array] = {"names": np.array(list(sums), np.str_)}
    for place, one in enumerate(sums.values()):
        arrays |= {
            f"bound{place}": np.array(one.bound),
            f"rows{place}": np.array(one.rows),
            f"products{place}": one.products,
            f"sums{place}": one.sums,
        }
    beside = file.with_name(f"{file.name}.partial.npz")
    np.savez(beside, **arrays)
    beside.rename(file)


def _load(file: Path) -> dict[str, HessianSums]:
    with reading(file, StudyError, "remove it, and tune again"), np.load(file) as arrays:
        return {
            str(name): HessianSums(
                float(arrays[f"bound{place}"]),
                int(arrays[f"rows{place}"]),
                arrays[f"products{place}"],
                arrays[f"sums{place}"],
            )
            for place, name in enumerate(arrays["names"])
        }
