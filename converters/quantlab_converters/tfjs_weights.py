"""Checks of a weight before quantization, shared by both tfjs formats."""

from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ConversionError
from quantlab.names import counted

__all__ = ["refuse_unquantizable"]


def refuse_unquantizable(name: str, data: npt.NDArray[Any], scheme: str) -> None:
    """Refuse weights for which the official converter writes invalid JSON, or fails on the minimum of an empty array.

    Raises:
        ConversionError: If a float weight is empty or holds NaN or infinity, and the scheme needs its value range.
    """
    if data.dtype.kind != "f" or scheme in {"float32", "float16"}:
        return
    if data.size == 0:
        raise ConversionError(f"the weight '{name}' has no elements, which {scheme} cannot store; remove its layer")
    if not np.isfinite(data).all():
        spoiled = counted(int(data.size - np.isfinite(data).sum()), "value that is", "values that are")
        raise ConversionError(
            f"the weight '{name}' holds {spoiled} NaN or infinite, and {scheme} needs a finite range; train again or "
            f"repair the model"
        )
