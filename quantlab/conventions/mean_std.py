"""The model wants the mean, and often the deviation, of a well-known data set taken out of the samples."""

from collections.abc import Iterator

from quantlab.conventions.contract import InputConvention, InputFacts, InputFamily
from quantlab.conventions.encodings import KNOWN_MEANS, SCALES, Encoding, converted, fits_channels, possible_sources

__all__ = ["MEAN_STD"]

_NAME = "mean-std"


def _conventions(facts: InputFacts) -> Iterator[InputConvention]:
    if not facts.floats:
        return
    # Beyond the nearest, sources differ by little, and each costs a pass over the samples for every mean.
    for source in possible_sources(facts)[:1]:
        for target in KNOWN_MEANS:
            if target != source and fits_channels(target, facts):
                yield _between(source, target, facts)


def _between(source: Encoding, target: Encoding, facts: InputFacts) -> InputConvention:
    pixels = {"0…255": "", "0…1": "; these samples are p / 255"}.get(source.name, f"; these samples are {source.make}")
    return InputConvention(
        _NAME,
        f"{source.name} → {target.name}",
        f"the samples are {source.words}, and the model wants them {target.words}"
        if source in SCALES
        else f"the samples are {source.words}, and the model wants them {target.words} instead",
        f"feed {target.make} of the pixels p{pixels}",
        converted(source, target, facts.colour_axis or -1),
    )


MEAN_STD = InputFamily(_NAME, _conventions)
