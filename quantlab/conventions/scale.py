"""The samples have another scale than those of the training: x / 255, x · 255, 2x − 1 and others."""

from collections.abc import Callable, Iterator

import numpy as np

from quantlab.conventions.contract import Array, InputConvention, InputFacts, InputFamily
from quantlab.conventions.encodings import SCALES, Encoding, converted, possible_sources

__all__ = ["SCALE"]

_NAME = "scale"

_PLAIN: tuple[tuple[str, str, float, float], ...] = (
    ("x / 255", "x / 255", 1 / 255, 0.0),
    ("x · 255", "x * 255", 255.0, 0.0),
    ("2x − 1", "2 * x - 1", 2.0, -1.0),
    ("(x + 1) / 2", "(x + 1) / 2", 0.5, 0.5),
    ("x / 127.5 − 1", "x / 127.5 - 1", 1 / 127.5, -1.0),
    ("(x + 1) · 127.5", "(x + 1) * 127.5", 127.5, 127.5),
    ("x / 32768", "x / 32768", 1 / 32768, 0.0),
    ("x · 32768", "x * 32768", 32768.0, 0.0),
)
"""What is tried where the range of the samples is that of no encoding of pixels, and x / 255 and x · 255 everywhere.
32768 is the range of 16-bit audio."""

_ALWAYS = 2


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    if not facts.floats:
        return
    sources = possible_sources(facts)
    for source in sources:
        for target in SCALES:
            if target != source:
                yield _between(source, target, facts)
    for name, expression, factor, offset in _PLAIN[: _ALWAYS if sources else None]:
        yield InputConvention(
            _NAME,
            name,
            f"the samples, from {facts.low:.4g} to {facts.high:.4g}, have another scale than the model wants",
            f"feed {expression}",
            _affine(factor, offset),
        )


def _between(source: Encoding, target: Encoding, facts: InputFacts) -> InputConvention:
    return InputConvention(
        _NAME,
        f"{source.name} → {target.name}",
        f"the samples are {source.words}, and the model wants them {target.words}"
        if target.words.startswith(("scaled", "shifted"))
        else f"the samples are {source.words}, and the model wants {target.words}",
        f"feed {target.make} of the pixels p"
        + (f", which is {_expression(source, target)} of these samples" if source.channels == 1 else ""),
        converted(source, target, facts.colour_axis or -1),
    )


def _expression(source: Encoding, target: Encoding) -> str:
    """The affine function between two encodings of one factor, as an expression of Python in x."""
    factor = target.factor[0] / source.factor[0]
    offset = target.offset[0] - factor * source.offset[0]
    scaled = "x" if factor == 1 else f"x * {factor:.6g}" if factor > 1 else f"x / {1 / factor:.6g}"
    return scaled if abs(offset) < 1e-9 else f"{scaled} {'-' if offset < 0 else '+'} {abs(offset):.6g}"


def _affine(factor: float, offset: float) -> Callable[[Array], Array]:
    return lambda values: values.astype(np.float64) * factor + offset


SCALE = InputFamily(_NAME, _conventions)
