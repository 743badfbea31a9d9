"""What a study tells about its reference before anything else is blamed: whether it repeats itself, and is sane."""

from dataclasses import dataclass

from quantlab.types.trial import Interval

__all__ = [
    "STRAY_LIMIT",
    "ChanceCheck",
    "ClassOrder",
    "ReferenceCheck",
    "RescalingLayer",
    "TargetCheck",
    "TrainingLayer",
]

STRAY_LIMIT = 1e-3
"""Share of the largest output by which two answers to the same sample may differ: 60 dB, as in the float32 check."""


@dataclass(frozen=True, slots=True)
class TrainingLayer:
    """A layer whose answer may depend on more than one sample and the model's weights."""

    name: str
    """Name of the Keras layer; in a SavedModel without Keras layers, the path of the op."""
    kind: str
    """Class of the layer; in a SavedModel without Keras layers, the op."""
    cause: str
    """Why it acts so, as a clause: `called with training=True`, `draws random numbers (RandomUniform)`, …"""
    effects: tuple[str, ...] = ()
    """What the exported graph does in it: `random` numbers, statistics of the `batch`, changes of `state`.

    Empty if nothing of that was found in the graph."""


@dataclass(frozen=True, slots=True)
class RescalingLayer:
    """A layer that scales what the model is fed: it computes scale · x + offset, along the last axis."""

    name: str
    """Name of the Keras layer."""
    kind: str
    """Class of the layer."""
    scale: tuple[float, ...]
    """One factor for all channels, or one for each; none is 0."""
    offset: tuple[float, ...]
    """The same number of offsets."""

    def suits(self, shape: tuple[int, ...]) -> bool:
        """Whether samples of this shape have as many channels as the layer has factors."""
        return len(self.scale) == 1 or shape[-1:] == (len(self.scale),)


@dataclass(frozen=True, slots=True)
class ChanceCheck:
    """Top-1 of the reference beside that of guessing, or the metric that `metric` names."""

    top1: float
    """Percent."""
    interval: Interval
    """95 % interval of `top1`, in percent: Wilson's, or that of a bootstrap of samples."""
    chance: float
    """What always answering the most frequent class scores, in percent."""
    majority: int
    """The most frequent class."""
    metric: str = "top1"
    """`top1`, or `position-accuracy` or `mean-iou` of classes of positions."""

    @property
    def at_chance(self) -> bool:
        """Whether the reference is not shown to be better than guessing: its interval reaches down to chance."""
        return self.interval.lower <= self.chance

    @property
    def too_few(self) -> bool:
        """Whether more samples would probably show that it is better: it is, by 10 points or more, on these."""
        return self.at_chance and self.top1 >= self.chance + 10


@dataclass(frozen=True, slots=True)
class ClassOrder:
    """Another order of the classes, in which the reference would score far higher."""

    labels: tuple[int, ...]
    """For each output of the model, the label whose samples it answers to."""
    top1: float
    """Percent, in the order of the labels as they are."""
    reordered_top1: float
    """Percent in the other order, measured on samples that the order was not fitted to."""


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """Squared errors of a regression's predictions, of the mean of the targets, and of the best scale and offset."""

    column: int | None
    """Position in the last axis of the output; None for all elements together."""
    error: float
    """Mean squared error of the reference against the targets."""
    mean_error: float
    """Mean squared error of predicting the mean of these targets: their variance."""
    line_error: float
    """Mean squared error of scale · prediction + offset, with the two fitted to these targets."""
    scale: float
    offset: float

    @property
    def worse_than_mean(self) -> bool:
        """Whether predicting the mean of the targets has no larger error than the reference."""
        return self.mean_error <= self.error

    @property
    def other_unit(self) -> bool:
        """Whether the targets seem to be in another unit than the predictions.

        The best scale and offset then leave at most a tenth of the error, and half of what the mean leaves.
        """
        close = self.error <= 0.01 * self.mean_error  # where a tenth of the error is rounding
        return not close and self.line_error <= 0.1 * self.error and self.line_error <= 0.5 * self.mean_error


@dataclass(frozen=True, slots=True)
class ReferenceCheck:
    """What was found about the reference before anything is compared with it.

    Differences are shares of the largest output value; more than `STRAY_LIMIT` is reported above the table.
    """

    again: float
    """Between two calls of the exported model on the same samples."""
    single: float
    """Between samples alone and in a batch, in the exported model."""
    call: float | None = None
    """Between model(x) in Keras and the exported model; None if there is no Keras model, or if both are random."""
    predict: float | None = None
    """The same for model.predict(x)."""
    layers: tuple[TrainingLayer, ...] = ()
    """The layers that cause the differences above the limit."""
    chance: ChanceCheck | None = None
    """Only for labelled classes."""
    class_order: ClassOrder | None = None
    """None if no other order of the classes is far better."""
    targets: tuple[TargetCheck, ...] = ()
    """Only for a regression with targets that vary: one for each column of the output, if there are few, or one."""

    @property
    def repeats(self) -> bool:
        """Whether the exported model gives the same outputs for the same samples, again and in any batch."""
        return max(self.again, self.single) <= STRAY_LIMIT
