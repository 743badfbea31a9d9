"""Functions from samples of one scale to those of another, by which a client and a model may differ."""

from dataclasses import dataclass

import numpy as np

from quantlab.conventions.contract import Array
from quantlab.preprocessing import BYTE_SCALE, SYMMETRIC_SCALE, UNIT_SCALE, PixelScale

__all__ = ["AUDIO_RESCALINGS", "PIXEL_RESCALINGS", "Rescaling"]

_AUDIO = 32768.0
"""The range of 16-bit audio."""


@dataclass(frozen=True, slots=True)
class Rescaling:
    """Samples x are fed as factor · x + offset."""

    name: str
    """As short as a heading, for example `2x − 1`."""
    expression: str
    """The same as an expression of Python."""
    words: str
    """What is done to the samples, as a clause, for example `divided by 255`."""
    factor: float
    offset: float

    def apply(self, values: Array) -> Array:
        """Rescale samples, in float64."""
        return np.asarray(values.astype(np.float64) * self.factor + self.offset)


def _between(source: PixelScale, target: PixelScale, *, name: str, expression: str, words: str) -> Rescaling:
    return Rescaling(name, expression, words, *source.to(target))


PIXEL_RESCALINGS = (
    _between(BYTE_SCALE, UNIT_SCALE, name="x / 255", expression="x / 255", words="divided by 255"),
    _between(UNIT_SCALE, BYTE_SCALE, name="x · 255", expression="x * 255", words="multiplied by 255"),
    _between(UNIT_SCALE, SYMMETRIC_SCALE, name="2x − 1", expression="2 * x - 1", words="scaled from [0, 1] to [−1, 1]"),
    _between(
        SYMMETRIC_SCALE, UNIT_SCALE, name="(x + 1) / 2", expression="(x + 1) / 2", words="scaled from [−1, 1] to [0, 1]"
    ),
    _between(
        BYTE_SCALE,
        SYMMETRIC_SCALE,
        name="x / 127.5 − 1",
        expression="x / 127.5 - 1",
        words="scaled from [0, 255] to [−1, 1]",
    ),
    _between(
        SYMMETRIC_SCALE,
        BYTE_SCALE,
        name="(x + 1) · 127.5",
        expression="(x + 1) * 127.5",
        words="scaled from [−1, 1] to [0, 255]",
    ),
)
"""Between the usual scales of pixels."""

AUDIO_RESCALINGS = (
    Rescaling("x / 32768", "x / 32768", "divided by 32768", 1 / _AUDIO, 0.0),
    Rescaling("x · 32768", "x * 32768", "multiplied by 32768", _AUDIO, 0.0),
)
