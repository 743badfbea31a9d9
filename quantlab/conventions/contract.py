"""The contract of a convention: another way to read samples or labels, that may be the one the model was trained with.

A convention of inputs is a function of tensors that were already made. A convention of labels is another reading of the
same answers. Neither knows the model; what may be needed of it is in `InputFacts` and `Answers`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlab.types import RescalingLayer

__all__ = [
    "Answers",
    "Array",
    "InputConvention",
    "InputFacts",
    "InputFamily",
    "LabelConvention",
    "LabelFamily",
    "OutputConvention",
    "OutputFacts",
    "OutputFamily",
]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What is known of one input of a model and of the samples that it is fed."""

    name: str
    """Name of the input."""
    shape: tuple[int, ...]
    """Shape of one sample, without the batch."""
    dtype: np.dtype[Any]
    """Data type of the input."""
    low: float
    """Smallest value of all samples; finite."""
    high: float
    """Largest value of all samples; finite."""
    rescaling: tuple[RescalingLayer, ...] = ()
    """Layers of the model that scale its input."""

    @property
    def channels_last(self) -> int:
        """Length of the last axis, if a sample has at least three; otherwise 0."""
        return self.shape[-1] if len(self.shape) >= 3 else 0

    @property
    def channels_first(self) -> int:
        """Length of the first axis, if a sample has at least three; otherwise 0."""
        return self.shape[0] if len(self.shape) >= 3 else 0

    @property
    def colour_axis(self) -> int | None:
        """The axis of three colours in a batch, the last (−1) or the first of a sample (1); None if there is none."""
        if self.channels_last == 3:
            return -1
        return 1 if self.channels_first == 3 else None

    @property
    def floats(self) -> bool:
        """Whether the input takes floats, so that its values can be scaled."""
        return self.dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class InputConvention:
    """Another way to feed the samples."""

    family: str
    """Name of its family, which commands and programs use."""
    name: str
    """What is done to the samples, as short as a heading, for example `BGR for RGB`."""
    cause: str
    """What is wrong if this convention is right, as a clause, for example `the samples are BGR and …`."""
    change: str
    """What to do then, as an imperative, for example `reverse the channels with x[..., ::-1]`."""
    apply: Callable[[Array], Array]
    """Function from a batch of samples, (k, *shape), to one of the same shape; float64 where it computes."""


@dataclass(frozen=True, slots=True)
class InputFamily:
    """Conventions of one kind."""

    name: str
    conventions: Callable[[InputFacts], Iterator[InputConvention]]
    """Yields the conventions that are possible for an input; none if the kind does not apply to it."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a classifier and the labels of the same samples."""

    answers: NDArray[np.int32]
    """(n,): the top-1 of each sample; −1 where there is none."""
    labels: NDArray[np.int64]
    """(n,): the label of each sample, as given."""
    classes: int
    """Number of the model's classes."""


@dataclass(frozen=True, slots=True)
class LabelConvention:
    """Another way to read the labels."""

    family: str
    name: str
    cause: str
    change: str
    """The four as in `InputConvention`."""
    labels: NDArray[np.int64]
    """(n,): the output that each label means, if the labels are read so; −1 for a label that means none."""


@dataclass(frozen=True, slots=True)
class LabelFamily:
    """Conventions of labels of one kind."""

    name: str
    conventions: Callable[[Answers], Iterator[LabelConvention]]
    """Yields the conventions that are possible for the labels."""


@dataclass(frozen=True, slots=True)
class OutputFacts:
    """An output of the model, and that of an app for the same samples."""

    model: Array
    """(n, …): outputs of the model for the samples as they are."""
    app: Array
    """The same shape: outputs of the app."""
    probabilities: bool
    """Whether the model's rows look like probabilities."""


@dataclass(frozen=True, slots=True)
class OutputConvention:
    """Another way to give the same answers, which an app may have."""

    family: str
    name: str
    cause: str
    """The three as in `InputConvention`; the cause is what the app does."""
    apply: Callable[[Array, Array], Array]
    """Function from some outputs of the model, (k, …), and those of the app, to outputs of the same shape."""


@dataclass(frozen=True, slots=True)
class OutputFamily:
    """Conventions of outputs of one kind."""

    name: str
    conventions: Callable[[OutputFacts], Iterator[OutputConvention]]
    """Yields the conventions that are possible for an output."""
