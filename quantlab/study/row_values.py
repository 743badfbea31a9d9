"""The values of single samples of rows that are scored, and then kept: they are computed once."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

from quantlab.npy import mapped
from quantlab.statistics import CandidateSamples, ReferenceSamples

__all__ = ["RowValues"]

_MOST = 4
"""Rows whose values are held at the same time, which are temporary files of about 70 bytes for each sample."""


@dataclass(slots=True)
class RowValues:
    """The values of rows whose samples have classes. Threads may share it."""

    reference: ReferenceSamples
    """The model, which is finite on all samples."""
    _held: dict[Path, CandidateSamples] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, outputs: Path) -> CandidateSamples:
        """The values of a row, by the file of its scored output; the last ones are held until they are forgotten.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it has another shape than the output of the model.
        """
        with self._lock:
            held = self._held.get(outputs)
        if held is not None:
            return held
        values = CandidateSamples.of(self.reference, mapped(outputs))
        with self._lock:
            self._held[outputs] = values
            for earliest in [*self._held][:-_MOST]:
                del self._held[earliest]
        return values

    def forget(self, outputs: Path) -> None:
        """Forget the values of a row, if they are held."""
        with self._lock:
            self._held.pop(outputs, None)
