"""Small ONNX models that are right about their own samples, for diagnoses: their answers are the labels, with noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx_models import node, port, predicted, write

__all__ = ["CLEAN", "Clean", "made"]

Array = npt.NDArray[Any]

_CLASSES = 6
_WRONG = 0.15
"""Share of the labels that are random: a model is seldom right about everything."""


@dataclass(frozen=True, slots=True)
class Clean:
    """The kind of a model and of its samples."""

    shape: tuple[int, ...]
    """Shape of a sample."""
    low: float
    """Smallest value of the samples."""
    high: float
    """Largest value of the samples."""
    seed: int
    targets: bool = False
    """Whether it is a regression."""


CLEAN = {
    "pixels of −1…1": Clean((8, 8, 3), -1, 1, 0),
    "pixels of 0…1": Clean((8, 8, 3), 0, 1, 1),
    "pixels of 0…255": Clean((8, 8, 3), 0, 255, 2),
    "channels first": Clean((3, 8, 8), -1, 1, 3),
    "grey pixels": Clean((9, 9, 1), 0, 1, 4),
    "pixels without channels": Clean((9, 9), 0, 255, 5),
    "rows and columns of another length": Clean((6, 10, 1), -2.5, 3.5, 6),
    "features": Clean((12,), -3, 3, 7),
    "a sequence": Clean((10, 4), -40, 60, 8),
    "a regression": Clean((12,), -3, 3, 9, targets=True),
}


def made(folder: Path, clean: Clean, *, n: int = 400, twice: bool = False) -> tuple[Path, Array, Array]:
    """A model of two dense layers, its samples (n, *shape) in float32, and its labels (n,); softmax may come twice."""
    draw = np.random.default_rng(clean.seed)
    size, hidden = int(np.prod(clean.shape)), 32
    middle, half = (clean.low + clean.high) / 2, (clean.high - clean.low) / 2
    kernel = draw.normal(size=(size, hidden)) / np.sqrt(size) * 2 / half
    outputs = 1 if clean.targets else _CLASSES
    constants = {
        "kernel": kernel.astype(np.float32),
        # Of values in the middle of the range, the layer is 0: any other scale moves it.
        "bias": (draw.normal(size=hidden) - middle * kernel.sum(axis=0)).astype(np.float32),
        "last": draw.normal(size=(hidden, outputs)).astype(np.float32),
        "flat": np.array([-1, size], np.int64),
    }
    nodes = [
        node("Reshape", ["x", "flat"], "row"),
        node("MatMul", ["row", "kernel"], "product"),
        node("Add", ["product", "bias"], "sum"),
        node("Relu", ["sum"], "relu"),
        node("MatMul", ["relu", "last"], "scores"),
        node("Identity" if clean.targets else "Softmax", ["scores"], "once"),
        node("Softmax" if twice else "Identity", ["once"], "y"),
    ]
    ports = ([port("x", ["batch", *clean.shape])], [port("y", ["batch", outputs])])
    model = write(folder / "model.onnx", nodes, ports, constants)
    x = draw.uniform(clean.low, clean.high, (n, *clean.shape)).astype(np.float32)
    # The extremes are there, as in photos; colours and rows are not alike.
    x = np.clip(x + half * draw.normal(size=(1, *clean.shape)) / 2, clean.low, clean.high).astype(np.float32)
    y = predicted(model, {"x": x})[0]
    if clean.targets:
        return model, x, (y + 0.2 * y.std() * draw.normal(size=y.shape)).astype(np.float32)
    labels = y.argmax(axis=1)
    noisy = draw.uniform(size=n) < _WRONG
    return model, x, np.where(noisy, draw.integers(0, _CLASSES, n), labels)
