"""Runs a graph-model in a runtime on all samples at once; the outputs are tensors of the graph."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from contracts import executors, refuse_absent

from quantlab.formats.tfjs.artifact import inspect
from quantlab.processes import ChildPool
from quantlab.runtimes import RUNTIMES, Job, create_output, protocol, tensor_file
from quantlab.types import Port, TensorSpec
from quantlab.types.executor_options import ExecutorOptions
from quantlab.types.messages import Done

__all__ = ["run_in"]


def run_in(
    runtime: str,
    artifact: Path,
    samples: np.ndarray,
    outputs: Mapping[str, tuple[int, ...]],
    *,
    pool: ChildPool,
    folder: Path,
) -> list[np.ndarray]:
    """The values of some tensors of a graph.

    Args:
        runtime: Its name.
        artifact: The graph-model.
        samples: Of its only input.
        outputs: Tensor → the shape of one sample, of float32.
        pool: The children that run it.
        folder: For files.
    """
    refuse_absent(RUNTIMES[runtime], "tfjs")
    np.save(folder / "in.npy", samples)
    port = inspect(artifact).inputs[0]
    files = []
    for place, (tensor, shape) in enumerate(outputs.items()):
        create_output(file := folder / f"out-{place}.npy", n=len(samples), shape=shape, dtype="float32")
        files.append(
            tensor_file(file, TensorSpec(tensor, (), "float32"), Port(tensor, tensor, place, (), "float32"), place)
        )
    taken = tensor_file(folder / "in.npy", TensorSpec(port.name, (), port.dtype), port, 0)
    backend, n = RUNTIMES[runtime].backend, len(samples)
    options = executors("tfjs")
    job = Job("tfjs", str(artifact), backend, n, 0, n, (taken,), tuple(files), ExecutorOptions(), **options)
    *_, last = protocol.run(RUNTIMES[runtime], job, pool)
    assert last == Done(), last
    return [np.load(file.file) for file in files]
