"""Sums over the inputs of kernels, read from the float32 artifact on the calibration samples.

Each sample is run alone, because the last bits of a batch may depend on its size. The sums are of integers, so that
they do not depend on how samples are divided among blocks or calls. Two passes are made: the first finds the largest
magnitude of each tensor. Memory does not grow with the samples: a block of them is summed while the next is read.
"""

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
from quantlab.npy import mapped
from quantlab.runtimes.taps import Session
from quantlab.study.inside.sessions import SessionInputs, list_variant_taps, open_variant
from quantlab.study.side_by_side import result_of
from quantlab.types import PYTHON, Variant
from quantlab_converters.hessians import HessianSums
from quantlab_converters.tunable import TunableWeights

__all__ = ["SumsFile", "sum_inputs", "sums_over"]

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


def sum_inputs(
    inputs: SessionInputs, variant: Variant, weights: TunableWeights, indices: Sequence[int], folder: Path
) -> dict[str, HessianSums]:
    """Kernel → the sums over its inputs; kept in a folder, and read again from there.

    Args:
        inputs: The calibration samples.
        variant: The float32 artifact.
        weights: Its kernels.
        indices: The calibration samples that are summed.
        folder: Named by everything that the sums depend on.

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
    reader = _Reader.open(inputs, variant, weights)
    sums = sums_over(lambda: reader.blocks(indices), weights)
    folder.mkdir(parents=True, exist_ok=True)
    _save(folder / _SUMS, sums)
    context.store.write(folder / _RECORD, SumsFile(files_sha256(folder / _SUMS)))
    context.progress.end(_STEP, "done")
    return sums


def sums_over(blocks: Callable[[], Iterator[Mapping[str, Array]]], weights: TunableWeights) -> dict[str, HessianSums]:
    """The sums over blocks of samples, whatever their sizes.

    Args:
        blocks: Called twice; yields tensor → its values for some samples.
        weights: The kernels.
    """
    bounds: dict[str, float] = {}
    for values in blocks():
        for tensor, block in values.items():
            bounds[tensor] = float(np.maximum(bounds.get(tensor, 0.0), np.abs(block).max(initial=0.0)))
    sums: dict[str, HessianSums] = {}
    with ThreadPoolExecutor(1, thread_name_prefix="quantlab-sums") as thread:
        adding: Future[None] | None = None
        for values in blocks():
            if adding is not None:
                result_of(adding)
            adding = thread.submit(_add, sums, weights, values, bounds)
        if adding is not None:
            result_of(adding)
    return sums


def _add(
    sums: dict[str, HessianSums], weights: TunableWeights, values: Mapping[str, Array], bounds: Mapping[str, float]
) -> None:
    for name, part in weights.sums_of(values, bounds).items():
        sums[name] = sums[name] + part if name in sums else part


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the tensors of the float32 artifact, one sample at a time."""

    inputs: SessionInputs
    session: Session
    fed: Mapping[str, Array]
    """Tensor of the artifact → the samples, for tensors that are inputs of the model."""

    @classmethod
    def open(cls, inputs: SessionInputs, variant: Variant, weights: TunableWeights) -> "_Reader":
        ports = {port.tensor.removesuffix(":0"): port.name for port in variant.inputs}
        wanted = set(weights.tensors)
        taps = [tap for tap in list_variant_taps(inputs, variant) if tap.name in wanted]
        fed = {tensor: mapped(inputs.samples.input_file(name)) for tensor, name in ports.items() if tensor in wanted}
        return cls(inputs, open_variant(inputs, variant, PYTHON, taps), fed)

    def blocks(self, indices: Sequence[int]) -> Iterator[dict[str, Array]]:
        """Tensor → its values for some of the samples; as many samples as fit into a block."""
        held: list[dict[str, Array]] = []
        size = 0
        for index in indices:
            read = self.session.read(index, index + 1).taps
            fed = {name: np.asarray(samples[index : index + 1], np.float32) for name, samples in self.fed.items()}
            held.append({name: np.array(values) for name, values in {**read, **fed}.items()})
            size += sum(values.nbytes for values in held[-1].values())
            self.inputs.context.progress.advance(_STEP, 1)
            self.inputs.context.progress.work(_STEP, 1)
            if size > _BLOCK_BYTES:
                yield _joined(held)
                held, size = [], 0
        if held:
            yield _joined(held)


def _joined(held: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([values[name] for values in held]) for name in held[0]}


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
