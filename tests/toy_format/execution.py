"""Runs toy files with NumPy."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from quantlab.runtimes import Job
from quantlab.worker.execution import Execution
from quantlab.worker.tapping import TappedExecution
from toy_format.files import kernel_of, read


def answer(job: Job, batch: np.ndarray) -> dict[str, np.ndarray]:
    arrays = read(Path(job.artifact))
    dense = batch.astype(np.float32) @ kernel_of(arrays) + arrays["bias"]
    powers = np.exp(dense - dense.max(axis=1, keepdims=True))
    return {"dense": dense, "y": powers / powers.sum(axis=1, keepdims=True)}


def load(job: Job) -> Execution:
    read(Path(job.artifact))
    return Execution(lambda batches: [answer(job, batches[0])["y"]], {"kernels": "NumPy"})


def tap(job: Job, taps: Sequence[str]) -> TappedExecution:
    def call(batches: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        computed = answer(job, batches[0])
        return [computed["y"]], [computed[name] for name in taps]

    return TappedExecution(call)
