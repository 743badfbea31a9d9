"""Ways to store one kernel, compared and made simpler."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from quantlab.types import KernelChoice, Sharing
from quantlab_converters.tunable import KernelOption, TunableWeights

__all__ = ["PROBED_BITS", "choices_of", "is_same", "probes_of", "ratio_of", "sharing_of", "simpler", "without"]

BITS = (8, 7, 6, 5, 4, 3, 2)
PROBED_BITS = 4
"""Bits of a kernel with scales of channels that alone is stored so."""


def choices_of(weights: TunableWeights, kernel: str, *, by_channel: bool) -> Iterator[KernelChoice | None]:
    """All ways to store a kernel, with scales of channels only if the artifact can afford them."""
    yield None
    shared: tuple[Sharing, ...] = ("channel", "tensor") if by_channel else ("tensor",)
    for sharing in shared:
        for bits in BITS:
            yield weights.choice(kernel, bits, sharing)
    for bits in BITS:  # weights that do not matter keep the code of 0, which compresses best
        yield replace(weights.choice(kernel, bits, "tensor"), rounding="nearest")


def probes_of(weights: TunableWeights, kernel: str, *, by_channel: bool) -> list[KernelChoice]:
    """How a kernel is stored alone: with scales of channels in few bits, with one scale in many."""
    probes = [weights.choice(kernel, PROBED_BITS, "channel")] if by_channel else []
    return [*probes, replace(weights.choice(kernel, max(BITS), "tensor"), rounding="nearest")]


def sharing_of(choice: KernelChoice | None) -> Sharing:
    """With which noise an error is compared: half floats err in relation to each weight, as scales of channels do."""
    return "channel" if choice is None else choice.sharing


def ratio_of(error: float, noise: float) -> float | None:
    """The error of the output in relation to the noise of the kernel that makes it; None if they tell no ratio.

    They tell none if an output is not finite, or if there is an error without noise. Such a kernel counts as the most
    sensitive one.

    >>> ratio_of(0.5, 0.25), ratio_of(0.0, 0.0), ratio_of(0.5, 0.0), ratio_of(math.inf, 0.25)
    (2.0, 0.0, None, None)
    """
    if noise > 0 and math.isfinite(error):
        return error / noise
    return 0.0 if error == 0 else None


def simpler(choice: KernelChoice | None) -> Iterator[KernelChoice]:
    """The choice with one of its improvements left out."""
    if choice is not None and choice.rounding == "gptq":
        yield replace(choice, rounding="nearest")
    if choice is not None and choice.corrected:
        yield replace(choice, corrected=False)
    if choice is not None and choice.clipped:
        yield replace(choice, clipped=False)


def is_same(one: KernelOption, other: KernelOption) -> bool:
    """Whether two options store the same codes and the same bias."""
    if one.rounded is None or other.rounded is None or one.choice is None or other.choice is None:
        return False
    parts = zip(
        *((codes.codes, codes.scales, codes.zeros) for codes in (one.rounded.codes, other.rounded.codes)), strict=True
    )
    return one.choice.corrected == other.choice.corrected and all(np.array_equal(*pair) for pair in parts)


def without(choice: KernelChoice | None, taken_back: KernelChoice | None) -> KernelChoice | None:
    """A choice without the improvements that another one lacks; a choice of half floats has none.

    >>> without(KernelChoice(4, "channel"), KernelChoice(6, "tensor", corrected=False))
    KernelChoice(bits=4, sharing='channel', rounding='gptq', corrected=False, clipped=True)
    """
    if choice is None or taken_back is None:
        return choice
    return replace(
        choice,
        rounding="nearest" if taken_back.rounding == "nearest" else choice.rounding,
        corrected=choice.corrected and taken_back.corrected,
        clipped=choice.clipped and taken_back.clipped,
    )
