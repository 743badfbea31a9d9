"""What `quantlab diagnose` finds out about the samples of a float model, before anything is quantized."""

from dataclasses import dataclass
from typing import Literal

from quantlab.types.trial import Interval

__all__ = ["Diagnosis", "Ground", "Reproduction", "TriedConvention"]

Ground = Literal["answers", "log-loss", "errors"]
"""By what the labels speak for a convention: the right answers or the log loss of a classifier, or the errors of a
regression."""


@dataclass(frozen=True, slots=True)
class TriedConvention:
    """A convention that was tried on the labelled samples, beside the samples as they are."""

    family: str
    """Kind of the convention, for example `scale` or `class-order`."""
    name: str
    """What is done to the samples or labels, as short as a heading."""
    input: str | None
    """Name of the input that is fed otherwise; None for a convention of labels."""
    cause: str
    """What is wrong with the samples or labels if this convention is right, as a clause."""
    change: str
    """What to do then, as an imperative."""
    n: int
    """Number of samples behind the figures: fewer than of the others if the first of them were worse or unchanged."""
    score: float
    """Top-1 in percent, or R² of a regression; −∞ if a prediction is not finite."""
    interval: Interval | None
    """95 % interval of top-1 (Wilson), in percent; None for R²."""
    became_right: int
    """Samples that are wrong as they are and right with the convention; of a regression, that are predicted better."""
    became_wrong: int
    """The reverse."""
    p: float
    """One-sided p-value of the exact McNemar test that more became right than wrong, corrected for the number of all
    tests of all conventions (Holm); of a regression, of the sign test."""
    named: bool = False
    """Whether a gain is beyond chance, and large enough to explain what is wrong."""
    log_loss: float | None = None
    """Mean of −ln(probability of the label), in nats, at the temperature at which it is smallest, so that confidence
    alone changes nothing; None without classes."""
    p_log_loss: float | None = None
    """One-sided p-value that the labels are likelier than with the samples as they are, corrected like `p`; None
    without classes."""
    grounds: tuple[Ground, ...] = ()
    """What speaks for the convention beyond chance and by enough; empty if it is not named."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How near the model, fed by a convention, comes to the outputs of an app."""

    family: str
    """As in `TriedConvention`; empty for the samples as they are."""
    name: str
    input: str | None
    cause: str
    """What the app does to the samples if this convention is right, as a clause."""
    n: int
    """Number of samples behind the figures."""
    max_abs: float
    """Largest difference between an element of the app's output and of the model's; infinite where one is not finite.
    """
    mean_abs: float
    """Mean over the samples of the largest difference of each."""
    same_top1: float | None
    """Percent of samples with the same top-1; None without classes."""
    nearer: int
    """Samples whose largest difference is smaller than for the samples as they are, by 1 % of the largest output."""
    farther: int
    """Samples whose largest difference is larger, by as much."""
    p: float
    """One-sided p-value of the sign test that more are nearer than farther, corrected for the number of conventions
    (Holm); 1 for the samples as they are."""
    equal: bool = False
    """Whether no element differs by more than 0.1 % of the largest output: then the app computes the same."""
    named: bool = False
    """Whether it comes nearest, beyond chance."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The conventions that were tried, the best first, and what they say."""

    model: str
    """Path of the model, as the user wrote it."""
    data: str
    """The samples, as the user wrote them."""
    output: str
    """Name of the output that was compared."""
    n: int
    """Number of samples."""
    available: int
    """Number of samples in the source."""
    drawn: str
    """How they were chosen: `all`, `stratified, seed 0`, …"""
    metric: Literal["top1", "r2"] | None
    """What the labels were compared by; None if nothing was compared with labels."""
    score: float | None
    """The score of the samples as they are; None without a metric."""
    interval: Interval | None
    """95 % interval of top-1, in percent."""
    log_loss: float | None
    """As in `TriedConvention`, of the samples as they are; None without classes."""
    headline: str
    """What was found, in one sentence or two: the cause, and the change to make."""
    tried: tuple[TriedConvention, ...] = ()
    """The conventions, that with the smallest log loss, or the largest R², first; empty without a metric."""
    app: tuple[Reproduction, ...] = ()
    """What reproduces the outputs of an app, the nearest first; empty without such outputs."""
    notes: tuple[str, ...] = ()
    """What else must be known."""

    @property
    def named(self) -> TriedConvention | None:
        """The convention that the labels speak for; None if there is none."""
        return next((one for one in self.tried if one.named), None)
