"""Errors of reference and candidate against numeric labels."""

from dataclasses import dataclass, field
from typing import Any, Self

from numpy.typing import NDArray

from quantlab.statistics.sums import Sums
from quantlab.statistics.tensors import TensorError

__all__ = ["RegressionSums", "labels_shaped"]


@dataclass(frozen=True, slots=True)
class RegressionSums(Sums):
    """Errors of the reference and of the candidate against the labels, each as a `TensorError`.

    `mean_abs` is the MAE and `rms` the RMSE; both are infinite if an output or a label is not finite.
    """

    reference: TensorError = field(default_factory=TensorError)
    candidate: TensorError = field(default_factory=TensorError)

    @classmethod
    def of(cls, reference: NDArray[Any], candidate: NDArray[Any], labels: NDArray[Any]) -> Self:
        """Sum one batch.

        Args:
            reference: Any shape, samples first.
            candidate: The same shape.
            labels: The same shape, ignoring axes of size 1: (n,) matches (n, 1).

        Raises:
            ValueError: If the shapes differ; arrays are never broadcast.
        """
        truth = labels_shaped(labels, reference.shape)
        return cls(reference=TensorError.of(truth, reference), candidate=TensorError.of(truth, candidate))


def labels_shaped(labels: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Reshape labels to the shape of the outputs, which may differ only in axes of size 1.

    Raises:
        ValueError: If the shapes differ otherwise.
    """
    if _without_ones(labels.shape) != _without_ones(shape):
        raise ValueError(
            f"the labels have shape {labels.shape} and the outputs {shape}; every output element needs one label"
        )
    return labels.reshape(shape)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
