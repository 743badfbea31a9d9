"""Limits of a budget for the error of an output against the model: they need no labels."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from quantlab.errors import UsageError

__all__ = ["ERROR_FIGURES", "EVERY_CHANNEL", "ErrorFigure", "FigureName", "OutputLimit", "limit_of", "read_limits"]

FigureName = Literal["sqnr", "cosine", "max_abs_error", "rmse"]
"""Figures of an output against the model, which need no labels."""

EVERY_CHANNEL = "*"
"""Stands for the index of a channel where every channel of an output is meant."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class ErrorFigure:
    """What is known of such a figure, whatever the output."""

    name: FigureName
    limit: str
    """The key of `[budget]` that limits it."""
    words: str
    """Its name in sentences."""
    example: str
    """A limit, as a user writes it."""
    higher_is_better: bool = False
    unit: str = ""
    lowest: float = 0.0
    """Smallest limit that makes sense."""
    highest: float = math.inf
    """Largest limit that makes sense."""

    def to_error(self, value: float) -> float:
        """Convert the figure to a scale on which 0 is no error and more is worse.

        SQNR becomes the ratio of the error's power to that of the signal, and cosine its distance from 1.

        >>> ERROR_FIGURES["sqnr"].to_error(20.0), ERROR_FIGURES["cosine"].to_error(0.75)
        (0.01, 0.25)
        """
        if self.name == "sqnr":
            return 10.0 ** (-value / 10) if value > -math.inf else math.inf
        return 1.0 - value if self.name == "cosine" else value

    def from_error(self, error: float) -> float:
        """Convert an error of that scale to the figure."""
        if self.name == "sqnr":
            return math.inf if error <= 0 else -10 * math.log10(error) if error < math.inf else -math.inf
        return 1.0 - error if self.name == "cosine" else error


ERROR_FIGURES: Mapping[FigureName, ErrorFigure] = {
    figure.name: figure
    for figure in (
        ErrorFigure("sqnr", "min_sqnr", "SQNR", "40dB", True, " dB", lowest=-math.inf),
        ErrorFigure("cosine", "min_cosine", "cosine", "0.999", True, lowest=-1.0, highest=1.0),
        ErrorFigure("max_abs_error", "max_abs_error", "largest error", "0.05"),
        ErrorFigure("rmse", "max_rmse", "RMS error", "0.01"),
    )
}
"""All figures by name, in the order in which they are judged."""


@dataclass(frozen=True, slots=True)
class OutputLimit:
    """Smallest or largest allowed value of a figure of one output, of one channel of it, or of all outputs."""

    figure: FigureName
    value: float
    place: str | None = None
    """`output`, `output[channel]`, or `output[*]` for each channel that has no limit of its own; None means every
    output that has no limit of its own."""

    @classmethod
    def parse(cls, text: str, figure: ErrorFigure) -> "OutputLimit":
        """Read `VALUE`, `OUTPUT=VALUE`, `OUTPUT[CHANNEL]=VALUE` or `OUTPUT[*]=VALUE`; an SQNR may have the unit dB.

        >>> OutputLimit.parse("boxes[3]=30 dB", ERROR_FIGURES["sqnr"])
        OutputLimit(figure='sqnr', value=30.0, place='boxes[3]')

        Raises:
            UsageError: If the number is missing, or no error could break or keep it.
        """
        place, equals, number = (part.strip() for part in text.rpartition("="))
        unitless = number[:-2].strip() if figure.unit and number.lower().endswith("db") else number
        if not _NUMBER.fullmatch(unitless) or bool(equals) != bool(place):
            raise UsageError(
                f"{figure.limit} '{text}' is not a valid limit; write for example {figure.example}, or "
                f"OUTPUT={figure.example} for one output"
            )
        value = float(unitless)
        if not (figure.lowest <= value <= figure.highest and math.isfinite(value)):
            raise UsageError(f"{figure.limit} '{text}' is out of range; write for example {figure.example}")
        return cls(figure.name, value, place or None)

    def __str__(self) -> str:
        of = "" if self.place is None else f"{self.place}="
        return f"{of}{self.value:.12g}{ERROR_FIGURES[self.figure].unit.strip()}"


def read_limits(value: object, name: FigureName) -> tuple[OutputLimit, ...] | None:
    """Read the limits of one figure: a text with commas, a number, or several of them; None stays None.

    Raises:
        UsageError: If one cannot be read, or an output has two.
    """
    if value is None:
        return None
    figure = ERROR_FIGURES[name]
    given: Iterable[object] = value.split(",") if isinstance(value, str) else [value]
    if isinstance(value, list | tuple):
        given = value
    limits = tuple(
        one if isinstance(one, OutputLimit) else OutputLimit.parse(_text(one, figure), figure) for one in given
    )
    for limit in limits:
        if sum(other.place == limit.place for other in limits) > 1:
            of = "all outputs" if limit.place is None else f"'{limit.place}'"
            raise UsageError(f"{figure.limit} is given twice for {of}; give it once")
    return limits or None


def _text(value: object, figure: ErrorFigure) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{figure.limit} is {value!r} and must be a limit, for example {figure.example}")
    return str(value)


def limit_of(output: str, channel: int | None, limits: Iterable[OutputLimit]) -> OutputLimit | None:
    """Return the limit of an output, or of one channel of it, among those of one figure.

    A limit without a name applies to whole outputs that have none of their own, and `output[*]` to channels.
    """
    known = {limit.place: limit for limit in limits}
    if channel is not None:
        return known.get(f"{output}[{channel}]", known.get(f"{output}[{EVERY_CHANNEL}]"))
    return known.get(output, known.get(None))
