"""Ways to write a pixel of 0 to 255 as a number: the encodings between which samples may have been confused."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantlab.conventions.contract import Array, InputFacts
from quantlab.preprocessing import (
    BYTE_SCALE,
    CAFFE_MEAN,
    IMAGENET_MEAN,
    IMAGENET_STD,
    SYMMETRIC_SCALE,
    UNIT_SCALE,
    WHITE,
    PixelScale,
    standardized,
)

__all__ = ["ALL", "BYTES", "KNOWN_MEANS", "SCALES", "Encoding", "converted", "fits_channels", "possible_sources"]

Floats = NDArray[np.float64]

_NEAR = 0.25
"""Share of an encoding's range by which the ends of the samples may miss its ends: photos that are neither black nor
white anywhere are still told from those of another encoding, whose ranges differ by half or more."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A pixel p of 0 to 255 is stored as factor · p + offset, for each channel."""

    name: str
    """Short name, for example `0…1`."""
    words: str
    """What the values are, as a clause, for example `scaled to 0…1`."""
    make: str
    """How it is made from p, as an expression of Python, for example `p / 255`."""
    factor: tuple[float, ...]
    """One factor for all channels, or three in the order of RGB."""
    offset: tuple[float, ...]
    """The same number of offsets."""
    reversed: bool = False
    """Whether the channels are stored as BGR; `factor` and `offset` are in the order of RGB all the same."""

    @property
    def channels(self) -> int:
        """1 if all channels are alike, otherwise 3."""
        return len(self.factor)

    @property
    def low(self) -> float:
        """The value of the darkest pixel, over all channels."""
        return min(self.offset)

    @property
    def high(self) -> float:
        """The value of the brightest pixel, over all channels."""
        return max(WHITE * factor + offset for factor, offset in zip(self.factor, self.offset, strict=True))

    def pixels(self, values: Array, axis: int) -> Floats:
        """Return p, float64 and RGB, of values with colours along `axis`."""
        p = (values.astype(np.float64) - self._along(self.offset, values.ndim, axis)) / self._along(
            self.factor, values.ndim, axis
        )
        return np.flip(p, axis) if self.reversed else p

    def values(self, pixels: Floats, axis: int) -> Floats:
        """Return the encoding of p, float64, with colours along `axis`."""
        p = np.flip(pixels, axis) if self.reversed else pixels
        return p * self._along(self.factor, p.ndim, axis) + self._along(self.offset, p.ndim, axis)

    def _along(self, numbers: tuple[float, ...], ndim: int, axis: int) -> Floats:
        ordered = np.array(numbers[::-1] if self.reversed else numbers, np.float64)
        shape = [1] * ndim
        shape[axis] = len(numbers)
        return ordered.reshape(shape)


def _scaled(name: str, words: str, make: str, scale: PixelScale) -> Encoding:
    return Encoding(name, words, make, (scale.factor,), (scale.offset,))


def _standardized(name: str, words: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Encoding:
    """(p / 255 − mean) / std."""
    make = f"(p / 255 - {_tuple(mean)}) / {_tuple(std)}"
    return Encoding(name, words, make, *standardized(mean, std))


def _tuple(numbers: tuple[float, ...]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else str(list(numbers))


BYTES = _scaled("0…255", "pixels of 0…255", "p", BYTE_SCALE)

SCALES = (
    BYTES,
    _scaled("0…1", "scaled to 0…1", "p / 255", UNIT_SCALE),
    _scaled("−1…1", "scaled to −1…1", "p / 127.5 - 1", SYMMETRIC_SCALE),
    _scaled("−0.5…0.5", "scaled to −0.5…0.5", "p / 255 - 0.5", PixelScale(1 / WHITE, -0.5)),
    _scaled("−128…127", "shifted to −128…127", "p - 128", PixelScale(1.0, -128.0)),
)
"""Encodings with one factor and one offset for all channels."""

KNOWN_MEANS = (
    _standardized("ImageNet mean/std", "standardized as by 'torch' mode", IMAGENET_MEAN, IMAGENET_STD),
    Encoding(
        "caffe BGR",
        "BGR without the ImageNet mean, as by 'caffe' mode",
        f"p[..., ::-1] - {list(CAFFE_MEAN[::-1])}",
        (1.0, 1.0, 1.0),
        tuple(-mean for mean in CAFFE_MEAN),
        reversed=True,
    ),
    Encoding(
        "ImageNet mean",
        "RGB without the ImageNet mean",
        f"p - {list(CAFFE_MEAN)}",
        (1.0, 1.0, 1.0),
        tuple(-mean for mean in CAFFE_MEAN),
    ),
    _standardized(
        "CLIP mean/std",
        "standardized as for CLIP",
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    _standardized(
        "CIFAR-10 mean/std", "standardized as CIFAR-10 is", (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)
    ),
    _standardized("MNIST mean/std", "standardized as MNIST is", (0.1307,), (0.3081,)),
    _standardized("Fashion-MNIST mean/std", "standardized as Fashion-MNIST is", (0.286,), (0.353,)),
)
"""Encodings with the mean, and often the deviation, of a well-known data set, as their authors publish them."""

_TWICE = Encoding("0…1/255", "divided by 255 twice", "p / 65025", (1 / 65025,), (0.0,))

ALL = (*SCALES, *KNOWN_MEANS, _TWICE)


def possible_sources(facts: InputFacts) -> tuple[Encoding, ...]:
    """The encodings that samples of this range may have, the nearest first."""
    missed = {encoding: _missed(encoding, facts) for encoding in ALL if _fits(encoding, facts)}
    return tuple(sorted((one for one, miss in missed.items() if miss <= _NEAR), key=missed.__getitem__))


def converted(source: Encoding, target: Encoding, axis: int) -> Callable[[Array], Array]:
    """The function from samples of one encoding to those of another, with colours along `axis`."""
    return lambda values: target.values(source.pixels(values, axis), axis)


def _missed(encoding: Encoding, facts: InputFacts) -> float:
    span = encoding.high - encoding.low
    return max(abs(facts.low - encoding.low), abs(facts.high - encoding.high)) / span


def _fits(encoding: Encoding, facts: InputFacts) -> bool:
    """Whether the input has the channels of the encoding, and its samples do not leave its range."""
    slack = 1e-3 * (encoding.high - encoding.low)
    inside = facts.low >= encoding.low - slack and facts.high <= encoding.high + slack
    return inside and fits_channels(encoding, facts)


def fits_channels(encoding: Encoding, facts: InputFacts) -> bool:
    """Whether an input has the channels of an encoding: three colours, or one for the means of grey images."""
    if encoding.channels == 3:
        return facts.colour_axis is not None
    grey = 1 in (facts.channels_last, facts.channels_first) or len(facts.shape) == 2
    return encoding not in KNOWN_MEANS or grey
