"""A job: all that a child must know to run one variant over the samples, and the tensors that lie beside it.

What crosses to a child is JSON; tensors never are. Samples lie in `.npy` files that the child maps or reads by offset
in batches, outputs are written into `.npy` files of known shape, in place, so that neither side holds them whole.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlab.formats import JavaScriptExecutor, PythonExecutor
from quantlab.npy import mapped
from quantlab.types import Port, SampleSet, TensorSpec, Variant
from quantlab.types.executor_options import ExecutorOptions

__all__ = [
    "Job",
    "Taps",
    "TensorFile",
    "TimingPlan",
    "create_output",
    "input_files",
    "tensor_file",
]


@dataclass(frozen=True, slots=True)
class TensorFile:
    """A tensor of every sample, in a `.npy` file (C order, little endian), and how the artifact names it."""

    name: str
    """The model's name for it."""
    file: str
    offset: int
    """Where the data begin, in bytes."""
    shape: tuple[int, ...]
    """Of one sample."""
    dtype: str
    tensor: str
    """The artifact's name for it."""
    position: int
    """Its place among the artifact's inputs or outputs."""


@dataclass(frozen=True, slots=True)
class Taps:
    """The tensors inside a variant that are asked for."""

    file: str
    """Where their values go, a batch over the one before; no other session has the same."""
    names: tuple[str, ...]
    """As the artifact calls them, or as they are to be called where they are outputs of a copy."""
    positions: tuple[int, ...] | None = None
    """Of a copy that gives them as further outputs: the place of each among these; None where it is no copy."""


@dataclass(frozen=True, slots=True)
class Job:
    """All that a child needs to run one variant over the samples."""

    format: str
    """By which JavaScript knows what runs it; empty for the reference."""
    artifact: str
    """The variant's folder or file; empty for the reference."""
    backend: str
    """`wasm`, `cpu`; empty where the format has one only."""
    batch_size: int
    start: int
    """The first sample still to be run."""
    stop: int
    """One past the last."""
    inputs: tuple[TensorFile, ...]
    outputs: tuple[TensorFile, ...]
    options: ExecutorOptions
    python: PythonExecutor
    """What runs it in a Python worker."""
    javascript: JavaScriptExecutor | None = None
    """What runs it in Node.js and browsers; None where nothing does."""
    taps: Taps | None = None
    """What is read inside it; None where it is only run or timed."""


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """How long a variant is timed, on the job's first batch over and over.

    The first run stands by itself. Then runs are warm-ups for `warm_up_seconds`, and those after it are counted: until
    `seconds` are over and there are `enough_runs`, but for `most_seconds` at most, and never fewer than `least_runs`.
    """

    warm_up_seconds: float = 0.2
    seconds: float = 0.5
    most_seconds: float = 2.0
    least_runs: int = 5
    enough_runs: int = 20
    most_runs: int = 2000


def create_output(path: Path, *, n: int, shape: Sequence[int], dtype: str) -> None:
    """Make a `.npy` file of n samples that a child writes into; until then they are zero.

    Its room is taken at once: a disk that is full must be an error here, not a signal to a child that maps the file.

    Raises:
        OSError: If the disk has no room.
    """
    whole = np.dtype(dtype)
    header = {"descr": whole.str, "fortran_order": False, "shape": (n, *shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]  # NumPy has no type for it
        size = n * math.prod(shape) * whole.itemsize
        if size:
            os.posix_fallocate(file.fileno(), file.tell(), size)


def tensor_file(path: Path, spec: TensorSpec, port: Port | None, position: int) -> TensorFile:
    """Describe a `.npy` file to a child; without a port the artifact's names are the model's own."""
    array = mapped(path)
    return TensorFile(
        name=spec.name,
        file=str(path.resolve()),
        offset=int(array.offset),
        shape=tuple(array.shape[1:]),
        dtype=array.dtype.name,
        tensor=port.tensor if port else spec.name,
        position=port.position if port else position,
    )


def input_files(samples: SampleSet, variant: Variant | None) -> tuple[TensorFile, ...]:
    """The inputs of a job, in the model's order."""
    ports = {port.name: port for port in variant.inputs} if variant else {}
    return tuple(
        tensor_file(samples.input_file(spec.name), spec, ports.get(spec.name), position)
        for position, spec in enumerate(samples.inputs)
        if variant is None or spec.name in ports
    )
