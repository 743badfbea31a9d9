"""Cost of the sums of a layer in nanoseconds per element, compared with plain NumPy in the same run.

The tensors have the shapes of MobileNetV2 at 224: pairs of float32 with half of the values zero, as after a ReLU, and a
difference of about 0.1 %. Plain NumPy converts whole tensors to float64 and computes the same sums, extremes and
percentiles; without percentiles it does the same as `TensorError.of`. The best of several alternating turns counts, so
that other load affects neither. Only the ratio can be compared between machines.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from quantlab.statistics import ErrorSketch, LayerError, TensorError

TURNS = 9
SHAPES = ((4, 112, 112, 96), (4, 56, 56, 144), (4, 28, 28, 192), (4, 14, 14, 576), (4, 7, 7, 1280))
PERCENTILES = (0.5, 0.9, 0.95, 0.99, 0.999)

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def plain(baseline: NDArray[np.float32], candidate: NDArray[np.float32]) -> tuple[float, ...]:
    expected, actual = baseline.astype(np.float64), candidate.astype(np.float64)
    error = actual - expected
    size = np.abs(error)
    return (
        float(np.count_nonzero(error)),
        error.sum(),
        size.sum(),
        size.max(),
        (error**2).sum(),
        (expected**2).sum(),
        (actual**2).sum(),
        (expected * actual).sum(),
        float(np.isfinite(expected).all() & np.isfinite(actual).all()),
        *(extreme for tensor in (expected, actual) for extreme in (tensor.min(), tensor.max())),
        *np.quantile(size, PERCENTILES, method="inverted_cdf"),
    )


MEASURED: dict[str, Callable[[Pair], object]] = {
    "LayerError": lambda pair: LayerError.of(*pair),
    "LayerError, per channel": lambda pair: LayerError.of(*pair, channels=True),
    "ErrorSketch alone": lambda pair: ErrorSketch.of(pair[1]),
    "TensorError alone": lambda pair: TensorError.of(*pair),
    "plain NumPy": lambda pair: plain(*pair),
}


def tensors(shape: tuple[int, ...]) -> Pair:
    random = np.random.default_rng(0)
    baseline = random.normal(size=shape).astype(np.float32)
    candidate = baseline + 1e-3 * random.normal(size=shape).astype(np.float32)
    return np.maximum(baseline, 0), np.maximum(candidate, 0)


def seconds(measure: Callable[[Pair], object], pair: Pair) -> float:
    begin = time.perf_counter()
    measure(pair)
    return time.perf_counter() - begin


def main() -> None:
    rows = []
    for shape in SHAPES:
        pair = tensors(shape)
        turns = [[seconds(measure, pair) for measure in MEASURED.values()] for _ in range(TURNS)]
        best = [1e9 * min(column) / pair[0].size for column in zip(*turns, strict=True)]
        rows.append(["×".join(map(str, shape)), pair[0].size, *best, best[-1] / best[0]])
    print("nanoseconds an element")
    print(tabulate(rows, ["shape", "elements", *MEASURED, "plain / LayerError"], floatfmt=".1f"))


if __name__ == "__main__":
    main()
