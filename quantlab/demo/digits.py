"""Scanned digits, with a fixed split into training samples of the demo model and held-out samples.

`digits.npz` beside this module contains them; README.md states their source and licence.

Each part is `x`, float32 of shape (n, 8, 8, 1) from 0 (paper) to 16 (ink), and `y`, int64 of shape (n,), the digit.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["samples", "training"]

Array = npt.NDArray[Any]

# Few enough that the model makes errors on the held-out samples, so that quantization can change some answers.
_TRAINING_PER_DIGIT = 60
_SEED = 0


def samples() -> tuple[Array, Array]:
    """The 1,197 held-out samples, between 114 and 123 per digit, in the data set's order."""
    x, y = _everything()
    held_out = np.setdiff1d(np.arange(len(y)), _drawn_for_training(y), assume_unique=True)
    return x[held_out], y[held_out]


def training() -> tuple[Array, Array]:
    """The 600 training samples, 60 per digit, in the data set's order."""
    x, y = _everything()
    drawn = _drawn_for_training(y)
    return x[drawn], y[drawn]


def _everything() -> tuple[Array, Array]:
    with np.load(Path(__file__).with_name("digits.npz")) as digits:
        return digits["x"][..., np.newaxis].astype(np.float32), digits["y"].astype(np.int64)


def _drawn_for_training(labels: Array) -> Array:
    """Ascending positions. `quantlab.samples.draw` is not used: a change of it would move held-out samples in here."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    by_digit = (random.permutation(np.flatnonzero(labels == digit)) for digit in range(10))
    return np.sort(np.concatenate([positions[:_TRAINING_PER_DIGIT] for positions in by_digit]))
