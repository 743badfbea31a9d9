"""The numbers by which pixels from 0 to 255 become inputs: usual scales, and the means and deviations of ImageNet.

Modes, the conventions that `diagnose` tries, hazards and codes of integer inputs all take them from here.
"""

from dataclasses import dataclass

__all__ = [
    "BYTE_SCALE",
    "CAFFE_MEAN",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "SYMMETRIC_SCALE",
    "UNIT_SCALE",
    "WHITE",
    "PixelScale",
    "standardized",
]

WHITE = 255
"""The largest value of a pixel."""


@dataclass(frozen=True, slots=True)
class PixelScale:
    """A pixel p from 0 to 255 is fed as factor · p + offset, alike in all channels."""

    factor: float
    offset: float

    @property
    def ends(self) -> tuple[float, float]:
        """What pixels of 0 and of 255 are fed as.

        >>> BYTE_SCALE.ends, UNIT_SCALE.ends, SYMMETRIC_SCALE.ends
        ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
        """
        return self.offset, WHITE * self.factor + self.offset

    def to(self, other: "PixelScale") -> tuple[float, float]:
        """The factor and offset that turn inputs of this scale into inputs of another.

        >>> UNIT_SCALE.to(SYMMETRIC_SCALE), SYMMETRIC_SCALE.to(BYTE_SCALE)
        ((2.0, -1.0), (127.5, 127.5))
        """
        factor = other.factor / self.factor
        return factor, other.offset - factor * self.offset


BYTE_SCALE = PixelScale(1.0, 0.0)
UNIT_SCALE = PixelScale(1 / WHITE, 0.0)
SYMMETRIC_SCALE = PixelScale(2 / WHITE, -1.0)
"""From −1 to 1: p / 127.5 − 1."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of colours in the order of RGB, of pixels / 255; as `torchvision` publishes them."""

CAFFE_MEAN = (123.68, 116.779, 103.939)
"""Mean of ImageNet's pixels in the order of RGB, as the models of Caffe were trained with it."""


def standardized(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The factors and offsets of (p / 255 − mean) / std, for each channel."""
    factors = tuple(1 / (WHITE * deviation) for deviation in std)
    return factors, tuple(-centre / deviation for centre, deviation in zip(mean, std, strict=True))
