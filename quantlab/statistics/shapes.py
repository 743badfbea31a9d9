"""Shapes are compared before anything else: NumPy would broadcast what does not fit, and compare the wrong things."""

from typing import Any

from numpy.typing import NDArray

__all__ = ["check_same_shape"]


def check_same_shape(reference: NDArray[Any], candidate: NDArray[Any]) -> None:
    """Refuse two arrays of different shapes.

    Raises:
        ValueError: Names both shapes.
    """
    if reference.shape != candidate.shape:
        raise ValueError(
            f"the reference has shape {reference.shape} and the candidate {candidate.shape}; "
            "they are compared element by element and must have the same shape"
        )
