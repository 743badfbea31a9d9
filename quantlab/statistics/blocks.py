"""Iteration over samples in blocks, so that memory does not grow with the number of samples."""

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

__all__ = ["BLOCK_BYTES", "blocks"]

BLOCK_BYTES = 2 * 2**20
"""Size of one block as float64; intermediate results need several times as much memory.

A dozen passes go over some blocks. At this size they stay in the processor's cache, which is several times as fast."""


def blocks(outputs: NDArray[Any], *, block_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
    """Consecutive slices of the first axis; each covers at most `block_bytes` as float64, and at least one sample.

    >>> import numpy as np
    >>> list(blocks(np.zeros((5, 2)), block_bytes=2 * 2 * 8))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    n = len(outputs)
    sample_bytes = 8 * (outputs.size // n) if n else 0
    step = max(1, block_bytes // max(1, sample_bytes))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
