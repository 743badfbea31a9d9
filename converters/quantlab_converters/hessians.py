"""Sums of x·xᵀ over the inputs x of a layer, the Hessians by which `quantlab_converters.gptq` rounds its weights.

Inputs are rounded to integers of 16 bits first. Sums of their products are integers that float64 holds exactly, in
whatever order they are added. So any partition of the samples gives the same Hessian to the last bit, on every machine,
and so do the bytes of an artifact that is rounded by it. The rounding, 2⁻¹⁶ of the largest input, is far below the
spread of samples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

__all__ = ["HessianSums", "Window", "depthwise_rows", "patch_rows"]

Floats = NDArray[Any]

_STEPS = 1 << 15
_BLOCK_ROWS = 1 << 22
"""Rows whose products are summed in float64 at once: 2²² · (2¹⁵)² is below 2⁵³."""
_MOST_ROWS = 1 << 32
"""Rows after which a sum in int64 could overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class HessianSums:
    """The sum of x·xᵀ over rows x; sums of parts of the samples add up to that of all."""

    bound: float
    """Largest |input| that counts, above 0; larger ones are clipped. Only sums with the same bound add up."""
    rows: int
    products: NDArray[np.int64]
    """(groups, inputs, inputs), in units of (bound / 2¹⁵)²."""

    @classmethod
    def of(cls, inputs: Floats, bound: float) -> "HessianSums":
        """The sum over some rows.

        Args:
            inputs: (groups, rows, inputs), finite.
            bound: The largest |input| of all samples, which a first pass finds.

        Raises:
            ValueError: If an input or the bound is not finite, or the bound is not above 0.
        """
        if not np.isfinite(bound) or bound <= 0:
            raise ValueError(f"the largest input is {bound}, and must be finite and above 0")
        if not np.isfinite(inputs).all():
            raise ValueError("an input of a layer is NaN or infinite, and its Hessian needs finite ones")
        groups, rows, size = inputs.shape
        products = np.zeros((groups, size, size), np.int64)
        for begin in range(0, rows, _BLOCK_ROWS):
            scaled = inputs[:, begin : begin + _BLOCK_ROWS].astype(np.float64) * (_STEPS / bound)
            steps = np.clip(np.rint(scaled), -_STEPS, _STEPS)
            products += (steps.transpose(0, 2, 1) @ steps).astype(np.int64)
        return cls(bound, rows, products)

    def __add__(self, other: "HessianSums") -> "HessianSums":
        """The sum over the rows of both.

        Raises:
            ValueError: If the bounds or shapes differ, or there are more than 2³² rows.
        """
        if self.bound != other.bound or self.products.shape != other.products.shape:
            raise ValueError("these are the Hessians of two layers, or of inputs with different bounds")
        if self.rows + other.rows > _MOST_ROWS:
            raise ValueError(f"a Hessian of more than {_MOST_ROWS:,} rows may overflow; take fewer samples")
        return HessianSums(self.bound, self.rows + other.rows, self.products + other.products)

    @property
    def hessians(self) -> NDArray[np.float64]:
        """(groups, inputs, inputs), in the units of the inputs."""
        scaled: NDArray[np.float64] = self.products * (self.bound / _STEPS) ** 2
        return scaled


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution moves over an image, in the order height, width."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    same: bool = False
    """Whether the image is padded with zeros as by `SAME` of TensorFlow; otherwise not at all (`VALID`)."""


def patch_rows(images: Floats, window: Window) -> Floats:
    """The inputs of a convolution as rows, in the order of a kernel's axes (height, width, inputs).

    Args:
        images: (n, height, width, channels).
        window: The convolution's.

    Returns:
        (1, n · positions, kernel height · kernel width · channels).
    """
    patches = _patches(images, window)
    return patches.reshape(1, -1, int(np.prod(patches.shape[3:])))


def depthwise_rows(images: Floats, window: Window) -> Floats:
    """The inputs of a depthwise convolution as rows for each channel.

    Args:
        images: (n, height, width, channels).
        window: The convolution's.

    Returns:
        (channels, n · positions, kernel height · kernel width).
    """
    patches = _patches(images, window)
    channels = patches.shape[-1]
    return np.moveaxis(patches, -1, 0).reshape(channels, -1, window.kernel[0] * window.kernel[1])


def _patches(images: Floats, window: Window) -> Floats:
    """(n, positions down, positions across, kernel height, kernel width, channels), a view of the padded images."""
    n, *sizes, channels = images.shape
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(window.kernel, window.dilations, strict=True)]
    if window.same:
        # tensorflow/core/framework/kernel_shape_util.cc: the larger half of the padding comes last.
        wanted = [-(-size // stride) for size, stride in zip(sizes, window.strides, strict=True)]
        padding = [
            max((count - 1) * stride + far - size, 0)
            for count, stride, far, size in zip(wanted, window.strides, reach, sizes, strict=True)
        ]
        images = np.pad(images, [(0, 0), *((whole // 2, whole - whole // 2) for whole in padding), (0, 0)])
    counts = [
        (size - far) // stride + 1 for size, far, stride in zip(images.shape[1:3], reach, window.strides, strict=True)
    ]
    by_sample, down, across, by_channel = images.strides
    return as_strided(
        images,
        (n, *counts, *window.kernel, channels),
        (
            by_sample,
            down * window.strides[0],
            across * window.strides[1],
            down * window.dilations[0],
            across * window.dilations[1],
            by_channel,
        ),
        writeable=False,
    )
