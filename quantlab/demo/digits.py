"""Scanned digits, parted for good into what the demo's model was trained on and what it was not.

`digits.npz` beside this module holds them; README.md tells their source and licence.

Each part is `x`, float32 of shape (n, 8, 8, 1) from 0 (paper) to 16 (ink), and `y`, int64 of shape (n,), the digit.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["samples", "training"]

Array = npt.NDArray[Any]

# Few enough that the model errs on some of the others: quantization must have something to flip.
_TRAINING_PER_DIGIT = 60
_SEED = 0


def samples() -> tuple[Array, Array]:
    """The 1,197 samples held out, between 114 and 123 of each digit, in the data set's order."""
    x, y = _everything()
    held_out = np.setdiff1d(np.arange(len(y)), _drawn_for_training(y), assume_unique=True)
    return x[held_out], y[held_out]


def training() -> tuple[Array, Array]:
    """The 600 samples that the model was trained on, 60 of each digit, in the data set's order."""
    x, y = _everything()
    drawn = _drawn_for_training(y)
    return x[drawn], y[drawn]


def _everything() -> tuple[Array, Array]:
    with np.load(Path(__file__).with_name("digits.npz")) as digits:
        return digits["x"][..., np.newaxis].astype(np.float32), digits["y"].astype(np.int64)


def _drawn_for_training(labels: Array) -> Array:
    """Positions, ascending. Not `quantlab.samples.draw`: if that changed, scored samples would leak in here."""
    random = np.random.Generator(np.random.PCG64(_SEED))
    by_digit = (random.permutation(np.flatnonzero(labels == digit)) for digit in range(10))
    return np.sort(np.concatenate([positions[:_TRAINING_PER_DIGIT] for positions in by_digit]))
