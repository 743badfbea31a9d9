"""The samples have another scale than those of the training: x / 255, x · 255, 2x − 1 and others."""

from collections.abc import Iterator

from quantlab.conventions.contract import InputConvention, InputFacts, InputFamily
from quantlab.conventions.encodings import SCALES, Encoding, converted, possible_sources
from quantlab.conventions.rescalings import AUDIO_RESCALINGS, PIXEL_RESCALINGS

__all__ = ["SCALE"]

_NAME = "scale"

_PLAIN = (*PIXEL_RESCALINGS, *AUDIO_RESCALINGS)
"""What is tried where the range of the samples is that of no encoding of pixels."""

_ALWAYS = 2
"""Number of the first of them that are tried everywhere: x / 255 and x · 255."""


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    if not facts.floats:
        return
    sources = possible_sources(facts)
    for source in sources:
        for target in SCALES:
            if target != source:
                yield _between(source, target, facts)
    for rescaling in _PLAIN[: _ALWAYS if sources else None]:
        yield InputConvention(
            _NAME,
            rescaling.name,
            f"the samples, from {facts.low:.4g} to {facts.high:.4g}, have another scale than the model wants",
            f"feed {rescaling.expression}",
            rescaling.apply,
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


SCALE = InputFamily(_NAME, _conventions)
