"""Sums of x·xᵀ over the inputs x of a layer, the Hessians by which `quantlab_converters.gptq` rounds its weights.

If the bias of the layer takes back the mean of the error, only the error's variance counts. Its Hessian is that of the
inputs less their mean.

Inputs are rounded to integers of 16 bits first. Sums of their products are integers that float64 holds exactly, in
whatever order they are added. So any partition of the samples gives the same Hessian to the last bit. The rounding,
2⁻¹⁶ of the largest input, is far below the spread of samples.

The bytes of an artifact that is rounded by it are the same on one machine with one number of BLAS threads. With another
number (`OPENBLAS_NUM_THREADS`), the last bits of the Hessian's inverse may differ, and a weight just between two codes
may be rounded to the other one. On another machine, the inputs themselves may differ in their last bits.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

__all__ = ["HessianSums", "Window", "depthwise_rows", "patch_rows", "to_steps"]

Floats = NDArray[Any]

_STEPS = 1 << 15
_BLOCK_ROWS = 1 << 22
"""Rows whose products are summed in float64 at once: 2²² · (2¹⁵)² is below 2⁵³."""
_MOST_ROWS = 1 << 32
"""Rows after which a sum in int64 could overflow."""


def to_steps(inputs: Floats, bound: float) -> NDArray[np.float64]:
    """Inputs as integers in units of bound / 2¹⁵; larger ones than the bound are clipped.

    Raises:
        ValueError: If an input or the bound is not finite, or the bound is not above 0.
    """
    if not np.isfinite(bound) or bound <= 0:
        raise ValueError(f"the largest input is {bound}, and must be finite and above 0")
    if not np.isfinite(inputs).all():
        raise ValueError("an input of a layer is NaN or infinite, and its Hessian needs finite ones")
    steps: NDArray[np.float64] = inputs.astype(np.float64)
    steps *= _STEPS / bound
    np.rint(steps, out=steps)
    np.clip(steps, -_STEPS, _STEPS, out=steps)
    return steps


@dataclass(frozen=True, slots=True, eq=False)
class HessianSums:
    """The sum of x·xᵀ over rows x, and of x; sums of parts of the samples add up to that of all."""

    bound: float
    """Largest |input| that counts, above 0; larger ones are clipped. Only sums with the same bound add up."""
    rows: int
    products: NDArray[np.int64]
    """(groups, inputs, inputs), in units of (bound / 2¹⁵)²."""
    sums: NDArray[np.int64]
    """(groups, inputs), in units of bound / 2¹⁵."""

    @classmethod
    def of_steps(cls, steps: NDArray[np.float64], bound: float) -> "HessianSums":
        """The sums over some rows.

        Args:
            steps: (groups, rows, inputs), made by `to_steps`.
            bound: The largest |input| of all samples, which a first pass finds.
        """
        groups, rows, size = steps.shape
        products, sums = np.zeros((groups, size, size), np.int64), np.zeros((groups, size), np.int64)
        for begin in range(0, rows, _BLOCK_ROWS):
            block = steps[:, begin : begin + _BLOCK_ROWS]
            products += (block.transpose(0, 2, 1) @ block).astype(np.int64)
            sums += block.sum(axis=1).astype(np.int64)
        return cls(bound, rows, products, sums)

    def __add__(self, other: "HessianSums") -> "HessianSums":
        """The sums over the rows of both.

        Raises:
            ValueError: If the bounds or shapes differ, or there are more than 2³² rows.
        """
        if self.bound != other.bound or self.products.shape != other.products.shape:
            raise ValueError("these are the Hessians of two layers, or of inputs with different bounds")
        if self.rows + other.rows > _MOST_ROWS:
            raise ValueError(f"a Hessian of more than {_MOST_ROWS:,} rows may overflow; take fewer samples")
        return HessianSums(self.bound, self.rows + other.rows, self.products + other.products, self.sums + other.sums)

    @property
    def hessians(self) -> NDArray[np.float64]:
        """(groups, inputs, inputs), in the units of the inputs."""
        scaled: NDArray[np.float64] = self.products * (self.bound / _STEPS) ** 2
        return scaled

    @property
    def centred(self) -> NDArray[np.float64]:
        """The same of the inputs less their means."""
        if self.rows == 0:
            return self.hessians
        # Less the rounded means first, in integers: a difference of two large sums of floats would be noise, and no
        # longer positive semidefinite. Integers wrap around, and the last sum fits again.
        near = np.rint(self.sums / self.rows).astype(np.int64)
        down, across = near[:, :, None], near[:, None, :]
        moved = (
            self.products - down * self.sums[:, None, :] - across * self.sums[:, :, None] + self.rows * down * across
        )
        rest = self.sums - self.rows * near
        centred: NDArray[np.float64] = moved - rest[:, :, None] * (rest[:, None, :] / self.rows)
        centred = (centred + centred.transpose(0, 2, 1)) / 2
        return centred * (self.bound / _STEPS) ** 2

    @property
    def means(self) -> NDArray[np.float64]:
        """(groups, inputs), in the units of the inputs; 0 without rows."""
        means: NDArray[np.float64] = self.sums * (self.bound / _STEPS) / max(self.rows, 1)
        return means


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution moves over an image, in the order height, width."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    same: bool = False
    """Whether the image is padded with zeros as by `SAME` of TensorFlow; otherwise not at all (`VALID`)."""


def patch_rows(images: Floats, window: Window, most: int | None = None, *, period: tuple[int, int] = (1, 1)) -> Floats:
    """The inputs of a convolution as rows, in the order of a kernel's axes (height, width, inputs).

    Args:
        images: (n, height, width, channels).
        window: The convolution's.
        most: Positions of each image, at most; None for all. They are evenly spread, in blocks of `period`.
        period: After how many positions down and across the images repeat which of their pixels are always 0. Blocks of
            positions are taken as a whole, so that each input is 0 as often as at all positions; one block is taken
            even if it has more than `most` positions.

    Returns:
        (1, n · positions, kernel height · kernel width · channels).
    """
    patches = _spread(_patches(images, window), most, period)
    return patches.reshape(1, -1, int(np.prod(patches.shape[3:])))


def depthwise_rows(images: Floats, window: Window, most: int | None = None) -> Floats:
    """The inputs of a depthwise convolution as rows for each channel.

    Args:
        images: (n, height, width, channels).
        window: The convolution's.
        most: As above.

    Returns:
        (channels, n · positions, kernel height · kernel width).
    """
    patches = _spread(_patches(images, window), most)
    channels = patches.shape[-1]
    return np.moveaxis(patches, -1, 0).reshape(channels, -1, window.kernel[0] * window.kernel[1])


def _spread(patches: Floats, most: int | None, period: tuple[int, int] = (1, 1)) -> Floats:
    height, width = patches.shape[1:3]
    if most is None or height * width <= most:
        return patches
    fewest = math.ceil(math.sqrt(height * width / most))
    spread = ((_blocks(height, step, period[0]), _blocks(width, step, period[1])) for step in itertools.count(fewest))
    one = (min(height, period[0]), min(width, period[1]))
    down, across = next(
        places for places in spread if len(places[0]) * len(places[1]) <= most or tuple(map(len, places)) == one
    )
    return patches[:, down[:, None], across]


def _blocks(size: int, step: int, period: int) -> NDArray[np.int64]:
    """The positions in every `step`-th block of `period` positions."""
    positions: NDArray[np.int64] = np.arange(size)
    chosen: NDArray[np.int64] = positions[positions // period % step == 0]
    return chosen


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
