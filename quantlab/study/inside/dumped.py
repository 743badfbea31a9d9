"""Tensors inside a variant that another program wrote, read like those of a runtime."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.npy import mapped
from quantlab.runtimes.taps import Reading
from quantlab.types import ImportedLayers, Trial

__all__ = ["DumpedTensors"]

Array = npt.NDArray[Any]

_LACKS = "the imported layers do not hold it"


@dataclass(frozen=True, slots=True)
class DumpedTensors:
    """The tensors of one imported row; batches are read in any order."""

    layers: ImportedLayers
    trial: Trial
    indices: Array
    """Indices of the layer samples among the scored samples."""
    wanted: tuple[str, ...] = ()
    """Tensors that are compared; those that the program did not write get a reason."""

    @property
    def lane(self) -> None:
        """No child is asked."""
        return

    def read(self, start: int, stop: int) -> Reading:
        """The tensors of the layer samples from `start` up to, not including, `stop`."""
        taps = {name: np.array(mapped(file)[start:stop]) for name, file in self.layers.files.items()}
        outputs = {
            name: self._output(name, np.array(mapped(file)[self.indices[start:stop]]), taps)
            for name, file in self.trial.outputs.items()
        }
        return Reading(outputs, taps, {name: _LACKS for name in self.wanted if name not in taps})

    def _output(self, name: str, measured: Array, taps: Mapping[str, Array]) -> Array:
        """An output as it was while tensors were read, if the program wrote that tensor, too; else as it was measured.

        Programs may compute otherwise while inner tensors are kept, which a note tells.
        """
        ports = self.trial.variant.outputs if self.trial.variant is not None else ()
        tensor = next((port.tensor for port in ports if port.name == name), "")
        value = taps.get(tensor, taps.get(tensor.removesuffix(":0")))
        return value.reshape(measured.shape) if value is not None and value.size == measured.size else measured
