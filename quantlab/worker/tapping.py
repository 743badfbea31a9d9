"""Reads the tensors inside a variant in the Python worker."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from quantlab.runtimes.exchange import Job, TensorFile
from quantlab.types.messages import Block, Unread
from quantlab.worker.execution import Execution

__all__ = ["Scratch", "TappedExecution", "load_tapped", "tapped_positions"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class TappedExecution:
    """A loaded artifact with taps."""

    call: Callable[[Sequence[Array]], tuple[list[Array], list[Array]]]
    """Takes one batch of each input; returns outputs in the job's order and taps in the request's order."""


def tapped_positions(job: Job) -> tuple[int, ...]:
    """Indices of the taps of a tapped copy among its outputs, in order.

    Raises:
        ValueError: If the job has none.
    """
    if job.taps is None or job.taps.positions is None:
        raise ValueError("the job of a tapped copy must give the positions of its taps")
    return job.taps.positions


def load_tapped(job: Job, taps: Sequence[TensorFile], load: Callable[[Job], Execution]) -> TappedExecution:
    """Load a tapped copy of an artifact, which has additional outputs.

    Args:
        job: The copy, with the outputs of the artifact.
        taps: The additional outputs.
        load: Loads an artifact with all outputs of a job.
    """
    execution = load(replace(job, outputs=(*job.outputs, *taps)))

    def call(batches: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        values = execution.call(batches)
        return values[: len(job.outputs)], values[len(job.outputs) :]

    return TappedExecution(call)


class Scratch:
    """The file of a session, to which the tensors of a batch are written one after another, as float32.

    A tensor whose first dimension is not the batch is listed in `failed` instead.
    """

    def __init__(self, file: Path, samples: int) -> None:
        self._stream = file.open("r+b" if file.exists() else "w+b")
        self._samples = samples
        self.failed: list[Unread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()

    def write(self, tensors: Iterable[tuple[str, Array]]) -> tuple[Block, ...]:
        """Write named tensors, and return the position of each in the file."""
        return tuple(block for name, value in tensors if (block := self._written(name, value)))

    def _written(self, name: str, value: Array) -> Block | None:
        if value.dtype == object:
            self.failed.append(Unread(name, "its shape changes from sample to sample"))
            return None
        if value.ndim == 0 or len(value) != self._samples:
            self.failed.append(Unread(name, f"its shape {value.shape} does not begin with the batch"))
            return None
        offset = self._stream.tell()
        self._stream.write(np.ascontiguousarray(value, dtype=np.float32).reshape(-1).view(np.uint8).data)
        return Block(name, offset, value.shape[1:])
