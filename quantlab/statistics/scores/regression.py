"""Errors of reference and candidate against labels that are numbers."""

from dataclasses import dataclass, field
from typing import Any, Self

from numpy.typing import NDArray

from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError

__all__ = ["RegressionSums", "labels_shaped"]


@dataclass(frozen=True, slots=True)
class RegressionSums(Sums):
    """How far the reference and the candidate are from the truth, each as a `TensorError` with the labels as reference.

    `mean_abs` of either is its MAE and `rms` its RMSE; both are infinite where an output or a label is not finite.
    """

    reference: TensorError = field(default_factory=TensorError)
    candidate: TensorError = field(default_factory=TensorError)

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Sum a batch.

        Args:
            reference: Any shape, samples first.
            candidate: The same shape.
            labels: The same shape but for axes of size 1: (n,) fits (n, 1).

        Raises:
            ValueError: If the shapes differ; they are never broadcast.
        """
        truth = labels_shaped(labels, reference.shape)
        return cls(reference=TensorError.of(truth, reference), candidate=TensorError.of(truth, candidate))


def labels_shaped(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Labels in the shape of the outputs, which may differ in axes of size 1 alone.

    Raises:
        ValueError: If they do otherwise.
    """
    if _without_ones(labels.shape) != _without_ones(shape):
        raise ValueError(
            f"the labels have shape {labels.shape} and the outputs {shape}; every output needs its own label"
        )
    return labels.reshape(shape)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
