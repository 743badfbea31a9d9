"""Feeds the float model with the samples of one convention after the other."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.conventions import InputConvention, InputFacts
from quantlab.npy import mapped, writable
from quantlab.runtimes import create_output
from quantlab.study.context import Context
from quantlab.study.run import Run, run_first
from quantlab.types import RescalingLayer, SampleSet, TensorSpec

__all__ = ["Array", "Feeding", "fed_values"]

Array = npt.NDArray[Any]

_BLOCK_BYTES = 16 * 2**20
"""Bytes of samples that a convention is applied to at once."""


@dataclass(frozen=True, slots=True)
class Feeding:
    """The model, and its samples in a random order, so that the first of them are a random sample of all."""

    context: Context
    run: Run
    """How the reference is run; its name is shown while it runs."""
    samples: SampleSet
    output: str
    """Name of the output that is read."""
    order: npt.NDArray[np.int64]
    """(n,): the place of each sample in the files of `samples`."""

    def outputs(self, fed: tuple[str, InputConvention] | None, rows: slice) -> Array:
        """The output for some samples, in the order of `order`, (k, …), with one input fed by a convention.

        Args:
            fed: Name of the input and the convention; None feeds the samples as they are.
            rows: Which samples, as a slice of `order`.

        Raises:
            QuantlabError: If the model cannot be run.
        """
        places = self.order[rows]
        with tempfile.TemporaryDirectory(dir=self.context.store.work) as folder:
            samples = replace(self.samples, folder=Path(folder), n=len(places))
            for spec in samples.inputs:
                convention = fed[1] if fed is not None and fed[0] == spec.name else None
                self._write(samples, spec, places, convention)
            outputs = run_first(self.context, self.run, samples, samples.n)
            return np.array(outputs[self.output])

    def facts(self, rescaling: tuple[RescalingLayer, ...]) -> Iterator[InputFacts]:
        """What is known of each input; of an input that takes no numbers or has no values, nothing."""
        for spec in self.samples.inputs:
            values = mapped(self.samples.input_file(spec.name))
            if not values.size or values.dtype.kind not in "iuf":
                continue
            low, high = float(values.min()), float(values.max())
            yield InputFacts(spec.name, values.shape[1:], values.dtype, low, high, rescaling)

    def few(self, name: str) -> Array:
        """Some samples of one input, as they are: (k, …)."""
        return np.asarray(mapped(self.samples.input_file(name))[self.order[:_FEW]])

    def _write(
        self, samples: SampleSet, spec: TensorSpec, places: npt.NDArray[np.int64], convention: InputConvention | None
    ) -> None:
        values, path = mapped(self.samples.input_file(spec.name)), samples.input_file(spec.name)
        create_output(path, n=len(places), shape=values.shape[1:], dtype=values.dtype.name)
        target = writable(path)
        step = max(1, _BLOCK_BYTES // max(1, values[:1].nbytes))
        for start in range(0, len(places), step):
            block = np.asarray(values[places[start : start + step]])
            changed = block if convention is None else fed_values(block, convention)
            # What is a number of the input for a few samples may still leave its range in another sample.
            target[start : start + len(block)] = block if changed is None else changed
        target.flush()


_FEW = 16
"""Samples by which it is decided whether a convention changes anything."""


def fed_values(values: Array, convention: InputConvention) -> Array | None:
    """Samples by a convention, in their own data type; None if that cannot hold them."""
    with np.errstate(over="ignore", invalid="ignore"):
        changed = np.asarray(convention.apply(values))
        if values.dtype.kind in "iu":
            changed = np.rint(changed)
            info = np.iinfo(values.dtype)
            if changed.min() < info.min or changed.max() > info.max:
                return None
        converted = changed.astype(values.dtype)
    return converted if converted.dtype.kind != "f" or np.isfinite(converted).all() else None
