"""Shape check before a comparison: NumPy would broadcast mismatched shapes and compare unrelated elements."""

from typing import Any

from numpy.typing import NDArray

__all__ = ["check_same_shape"]


def check_same_shape(reference: NDArray[Any], candidate: NDArray[Any]) -> None:
    """Raise an error if two arrays have different shapes.

    Raises:
        ValueError: If the shapes differ; the message names both.
    """
    if reference.shape != candidate.shape:
        raise ValueError(
            f"the reference has shape {reference.shape} and the candidate {candidate.shape}; "
            "both must have the same shape, because they are compared element by element"
        )
