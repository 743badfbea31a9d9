"""A job: everything that a child needs to run one variant on the samples, and the files with the tensors.

Jobs are sent to a child as JSON without tensors. Samples are in `.npy` files, which the child maps or reads in batches
by offset. The child writes outputs into existing `.npy` files of known shape. So neither side holds whole arrays in
memory.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlab.formats import JavaScriptExecutor, PythonExecutor
from quantlab.npy import mapped
from quantlab.types import Codes, Port, SampleSet, TensorSpec, Variant
from quantlab.types.executor_options import ExecutorOptions

__all__ = [
    "Job",
    "Picture",
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
    """Position of the data in the file, in bytes."""
    shape: tuple[int, ...]
    """Shape of one sample."""
    dtype: str
    tensor: str
    """The artifact's name for it."""
    position: int
    """Its index among the artifact's inputs or outputs."""
    codes: Codes | None = None
    """How the artifact's codes are computed from these values, if it takes or gives codes."""


@dataclass(frozen=True, slots=True)
class Taps:
    """The requested tensors inside a variant."""

    file: str
    """File for their values; each batch overwrites the previous one. Each session has its own file."""
    names: tuple[str, ...]
    """Their names in the artifact, or, for outputs of a tapped copy, the names to report."""
    positions: tuple[int, ...] | None = None
    """For a tapped copy, their indices among its outputs; None if the artifact itself is opened."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that a child needs to run one variant on the samples."""

    format: str
    """Format, by which JavaScript chooses the executor; empty for the reference."""
    artifact: str
    """The variant's folder or file; empty for the reference."""
    backend: str
    """`wasm` or `cpu`, for example; empty if the format has only one."""
    batch_size: int
    start: int
    """Index of the first sample to run."""
    stop: int
    """Index after the last sample."""
    inputs: tuple[TensorFile, ...]
    outputs: tuple[TensorFile, ...]
    options: ExecutorOptions
    python: PythonExecutor
    """Executor for a Python worker."""
    javascript: JavaScriptExecutor | None = None
    """Executor for Node.js and browsers; None if there is none."""
    taps: Taps | None = None
    """Tensors to read inside it; None if it is only run or timed."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file, or decoded pixels in a file: uint8 (height, width, channels), red first, in C order."""

    file: str
    offset: int
    """Position of the pixels in the file, in bytes; 0 for an image file."""
    length: int
    """Number of bytes."""
    shape: tuple[int, ...] = ()
    """Height, width and channels of the pixels; empty for an image file."""
    size: tuple[int, ...] = ()
    """Height and width to which pixels are resized, or a file by a step that decodes it; empty for a decoder."""


@dataclass(frozen=True, slots=True)
class TimingPlan:
    """How long a variant is timed, by running the job's first batch repeatedly.

    The first run is reported separately. Runs during the next `warm_up_seconds` are not counted. Then runs are counted
    until `seconds` have passed and there are `enough_runs`, but for `most_seconds` at most, and never fewer than
    `least_runs`. That is short, because a variant is timed in several rounds: these show how much processes differ,
    which a longer round would not show.
    """

    warm_up_seconds: float = 0.1
    seconds: float = 0.15
    most_seconds: float = 0.6
    least_runs: int = 5
    enough_runs: int = 20
    most_runs: int = 2000


def create_output(path: Path, *, n: int, shape: Sequence[int], dtype: str) -> None:
    """Create a `.npy` file of n samples, filled with zeros, into which a child will write.

    The disk space is allocated now: a full disk must be an error here, not a signal in a child that maps the file.

    Raises:
        OSError: If there is not enough disk space; it names the file and the size.
    """
    whole = np.dtype(dtype)
    header = {"descr": whole.str, "fortran_order": False, "shape": (n, *shape)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]  # NumPy has no type for it
        size = n * math.prod(shape) * whole.itemsize
        if not size:
            return
        try:
            os.posix_fallocate(file.fileno(), file.tell(), size)
        except OSError as error:  # which names no file
            raise OSError(error.errno, f"{error.strerror} for {size / 1e6:,.2f} MB", str(path)) from error


def tensor_file(path: Path, spec: TensorSpec, port: Port | None, position: int) -> TensorFile:
    """Describe a `.npy` file for a child; without a port, the artifact uses the model's names."""
    array = mapped(path)
    return TensorFile(
        name=spec.name,
        file=str(path.resolve()),
        offset=int(array.offset),
        shape=tuple(array.shape[1:]),
        dtype=array.dtype.name,
        tensor=port.tensor if port else spec.name,
        position=port.position if port else position,
        codes=port.codes if port else None,
    )


def input_files(samples: SampleSet, variant: Variant | None) -> tuple[TensorFile, ...]:
    """The inputs of a job, in the model's order."""
    ports = {port.name: port for port in variant.inputs} if variant else {}
    return tuple(
        tensor_file(samples.input_file(spec.name), spec, ports.get(spec.name), position)
        for position, spec in enumerate(samples.inputs)
        if variant is None or spec.name in ports
    )
