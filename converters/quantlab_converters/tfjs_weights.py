"""What both formats of tfjs ask of a weight before it is quantized."""

from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.errors import ConversionError

__all__ = ["refuse_unquantizable"]


def refuse_unquantizable(name: str, data: npt.NDArray[Any], scheme: str) -> None:
    """Refuse what the converter writes invalid JSON for, or where it fails on the minimum of nothing.

    Raises:
        ConversionError: If a float weight is empty, or holds NaN or infinity, and the scheme needs its range.
    """
    if data.dtype.kind != "f" or scheme in {"float32", "float16"}:
        return
    if data.size == 0:
        raise ConversionError(f"the weight '{name}' has no elements, which {scheme} cannot store; remove its layer")
    if not np.isfinite(data).all():
        wrong = int(data.size - np.isfinite(data).sum())
        raise ConversionError(
            f"the weight '{name}' holds {wrong:,} values that are NaN or infinite, and {scheme} needs a range; "
            f"train again or repair the model"
        )
