"""How much each op of a variant contributes to its error."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from quantlab.types.trial import Interval

__all__ = ["MeasuredError", "PartSensitivity", "Sensitivity", "VerifiedPart", "by_divergence"]


@dataclass(frozen=True, slots=True)
class MeasuredError:
    """The difference between the scored output of a partly quantized artifact and that of the float32 artifact."""

    mse: float
    """Mean squared error over samples and elements; infinite if one of them is not finite."""
    mse_interval: Interval
    """95 % interval over the samples (BCa bootstrap)."""
    kl: float | None = None
    """Mean Kullback–Leibler divergence of the class probabilities in nats; None without classes."""
    kl_interval: Interval | None = None
    flips: int | None = None
    """Number of samples whose top-1 is another one; None without classes."""


@dataclass(frozen=True, slots=True)
class VerifiedPart:
    """The metric of the study on all scored samples, if only this op stays in float."""

    n: int
    flips: int | None
    """Number of samples whose top-1 differs from that of the float32 artifact; None without classes."""
    accuracy_loss_points: float | None
    """Accuracy of the float32 artifact − accuracy, in percentage points; None without labels of classes."""
    interval: Interval | None
    """95 % interval of the loss (Tango)."""


@dataclass(frozen=True, slots=True)
class PartSensitivity:
    """The sensitivity of one op and its weights."""

    part: str
    """Name of the tensor that the op writes in the float32 artifact."""
    layers: tuple[str, ...]
    """Paths of the layers that it was made from; empty if no name tells them."""
    weights: int
    """Number of its weights that are stored as floats in the float32 artifact."""
    only: MeasuredError | None = None
    """Only this op is quantized; None if that was not measured."""
    without: MeasuredError | None = None
    """All ops but this one are quantized; None if that was not measured."""
    only_weights: MeasuredError | None = None
    """Only the weights of this op are quantized; None if the format cannot tell them apart from activations."""
    only_activations: MeasuredError | None = None
    """Only the activations that this op reads and writes are quantized; None as above."""
    verified: VerifiedPart | None = None
    """Measured for the first ten; otherwise None."""
    reason: str | None = None
    """Why it was not measured; otherwise None."""

    @property
    def name(self) -> str:
        """The name that is printed: the last layer's path, or the tensor's name."""
        return self.layers[0] if self.layers else self.part

    @property
    def entry(self) -> str:
        """The entry of `--float-layers` with this name; a comma would end it, so that `?`, a glob, stands for one."""
        return self.name.replace(",", "?")


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The ops of one variant, the most sensitive first."""

    setting: str
    output: str
    """Name of the scored output, which is compared."""
    n: int
    """Number of samples."""
    drawn: str
    """How the samples were drawn."""
    whole: MeasuredError
    """All ops are quantized."""
    parts: tuple[PartSensitivity, ...]
    verified_whole: VerifiedPart | None
    """The metric on all scored samples, with all ops quantized."""
    float_layers: tuple[str, ...]
    """Entries for `--float-layers` that keep the most sensitive ops in float."""
    words: str | None
    """What the official tool needs to keep them in float; None if it cannot."""
    seconds: float
    """Time that the evaluation took."""

    @property
    def by_divergence(self) -> bool:
        """Whether the divergence ranks; otherwise the squared error does."""
        return by_divergence([self.whole, *(part.only for part in self.parts if part.only is not None)])

    @property
    def not_reached(self) -> tuple[str, ...]:
        """The names of ops that were not measured because time was over."""
        return tuple(part.name for part in self.parts if part.only is None and part.reason is None)


def by_divergence(errors: Iterable[MeasuredError]) -> bool:
    """Whether errors can be ranked by their divergence: it is infinite if a quantized softmax gives a class 0."""
    return all(error.kl is not None and math.isfinite(error.kl) for error in errors)
